"""AutoAttack: four attacks without hyperparameters, one after another, on the images that PGD left standing.

It raises two flags of the authors' code (https://github.com/fra31/auto-attack), as an `AttackWarning`:

- The network is randomized: two passes over the same images give different logits. An attack then follows the gradients of
  single draws, and an example that fools one draw may not fool the next. AutoAttack has no expectation over transformation
  (EOT): attack a deterministic form of the network, or do not quote the result.
- Black box wins: Square fools more than 0.2% of the attacked images after all attacks that follow gradients. Gradients may
  mislead those (masking), so robust accuracy is probably too high. See `zsbench masking`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from robustbench_zs.errors import AttackWarning
from robustbench_zs.perturbations.apgd import APGD, FAB, TargetedAPGD
from robustbench_zs.perturbations.attacks import (
    DEFAULT_ENGINE,
    DEFAULT_SEED,
    Attack,
    AttackSeed,
    Ball,
    GradientAttack,
    carried_out_by,
)
from robustbench_zs.perturbations.black_box import Square
from robustbench_zs.perturbations.iterative import MAX_STEPS, Laddered, Restarts
from robustbench_zs.perturbations.parameters import Meaning
from robustbench_zs.perturbations.pgd import PGD

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robustbench_zs.perturbations.native import Found, Images, Method

AUTO_STEPS, AUTO_QUERIES = 100, 5000
"""The published numbers."""

MAX_BY_SQUARE = 0.002
"""Share of the attacked images that Square may fool after the others without a warning; that of the authors' code."""


@dataclass(frozen=True)
class AutoAttack(Laddered):
    """The standard ensemble of Croce and Hein (2020, §4): APGD on cross-entropy, targeted APGD on the difference of logits
    ratio, targeted FAB (both with up to nine targets; 100 steps each), and Square with 5,000 queries.

    With the engine `torchattacks` the draws are seeded by the seed and the first image of the batch, so there they depend on
    the batch size, and no flag is raised.

    Our own PGD with the same norm and seed runs first: images that it fools count as fooled.

    Args:
        steps, restarts: of PGD.

    Examples:
        >>> zs.AutoAttack("8/255").eps == 8 / 255
        True
    """

    engine: Annotated[str, carried_out_by("native", "torchattacks")] = DEFAULT_ENGINE
    norm: Ball = "linf"
    seed: AttackSeed = DEFAULT_SEED
    steps: Annotated[int, Meaning("Steps of our own PGD, which goes first.", 1, MAX_STEPS)] = PGD.steps
    restarts: Restarts = 1
    kind: ClassVar[str] = "autoattack"

    @property
    def pgd(self) -> PGD:
        """The attack that runs first."""
        options: dict[str, Any] = {"seed": self.seed, "norm": self.norm, "below": self.below}
        return PGD(self.eps, steps=self.steps, restarts=self.restarts, **options)

    @property
    def prior(self) -> tuple[Attack, ...]:
        return (self.pgd, *(replace(self, eps=eps, below=self.below[:-1]) for eps in self.below[-1:]))

    def key(self) -> dict[str, Any]:
        shared = {"eps": self.eps, "engine": self.engine, "norm": self.norm, "seed": self.seed}
        return {"kind": self.kind, **shared, "pgd": self.pgd.key()}

    @property
    def components(self) -> tuple[GradientAttack, ...]:
        """The four attacks in their order."""
        common: dict[str, Any] = {"norm": self.norm, "seed": self.seed}
        return (
            *(kind(self.eps, steps=AUTO_STEPS, **common) for kind in (APGD, TargetedAPGD, FAB)),
            Square(self.eps, queries=AUTO_QUERIES, **common),
        )

    @property
    def methods(self) -> tuple[Method, ...]:
        return tuple(method for attack in self.components for method in attack.methods)

    def search(
        self,
        network: nn.Module,
        data: Images,
        chosen: Sequence[int],
        *,
        device: torch.device,
        batch_size: int,
        **options: Any,
    ) -> Found:
        import torch

        from robustbench_zs.perturbations.native.passes import is_randomized

        if len(chosen) and is_randomized(network, data.images(torch.as_tensor(chosen[:batch_size])).to(device)):
            warnings.warn(RANDOMIZED, AttackWarning, stacklevel=2)
        found = super().search(network, data, chosen, device=device, batch_size=batch_size, **options)
        assert found.by is not None
        square = int((found.by == len(self.components) - 1).sum())
        if square > MAX_BY_SQUARE * len(chosen):
            warnings.warn(BLACK_BOX_WINS.format(label=self.label, n=square, of=len(chosen)), AttackWarning, stacklevel=2)
        return found

    def _by_library(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        from robustbench_zs.perturbations.engines import torchattacks_engine

        start = images.clamp(0, 1)  # the library refuses an image at -3e-8
        found = torchattacks_engine.auto_attack(network, start, labels, indices, self.eps, self.norm, self.seed)
        return self.verified(images, found)


RANDOMIZED = (
    "the network is randomized: two passes over the same images give different logits, so its robust accuracy is likely "
    "too high; AutoAttack has no expectation over transformation, which would average over draws"
)
BLACK_BOX_WINS = (
    "{label}: Square, which uses no gradients, fools {n} of {of} images after the attacks that follow gradients: "
    "gradients may be masked, see `zsbench masking`"
)
