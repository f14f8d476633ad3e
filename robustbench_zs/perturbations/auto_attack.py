"""AutoAttack: four attacks without settings, one after the other, on what PGD left standing.

It raises two flags of the authors' code (https://github.com/fra31/auto-attack), as an `AttackWarning`:

- The network is randomized: two passes over the same images give other logits. An attack then follows the gradients of
  single draws, and what fools one may not fool the next; attacks that average over draws (EOT) are not here. Attack a
  deterministic form of the network, or do not quote the result.
- Black box wins: Square fools more than 0.2% of the attacked images after all attacks that follow gradients. Gradients may
  mislead those (masking), so robust accuracy is likely too high. See `zsbench masking`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from robustbench_zs.errors import AttackWarning, RequestError
from robustbench_zs.perturbations.attacks import (
    APGD,
    DEFAULT_ENGINE,
    DEFAULT_SEED,
    DEFAULT_STEPS,
    PGD,
    Attack,
    GradientAttack,
)
from robustbench_zs.perturbations.black_box import Square
from robustbench_zs.perturbations.native import Found, Images, Method
from robustbench_zs.perturbations.native.passes import CLEAR
from robustbench_zs.perturbations.numbers import format_number
from robustbench_zs.perturbations.targeted import FAB, TargetedAPGD

AUTO_STEPS, AUTO_QUERIES = 100, 5000
"""The published numbers."""

MOST_BY_SQUARE = 0.002
"""Share of the attacked images that Square may fool after the others without a warning; that of the authors' code."""


@dataclass(frozen=True)
class AutoAttack(GradientAttack):
    """The standard ensemble of Croce and Hein (2020, §4): APGD on cross-entropy, targeted APGD on the difference of logits
    ratio, targeted FAB (both with up to nine targets; 100 steps each), and Square with 5,000 queries.

    With the engine `torchattacks` the draws are seeded by the seed and the first image of the batch, so there they depend on
    the batch size, and no flag is raised.

    Args:
        pgd: our own PGD, which goes first: what it fools counts as fooled. One of the same norm and seed by default.

    Examples:
        >>> zs.AutoAttack("8/255").eps == 8 / 255
        True
    """

    norm: str = "linf"
    seed: int = DEFAULT_SEED
    pgd: PGD | None = None
    kind: ClassVar[str] = "autoattack"
    engines: ClassVar[tuple[str, ...]] = ("native", "torchattacks")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pgd is None:
            object.__setattr__(self, "pgd", PGD(self.eps, norm=self.norm, seed=self.seed))
        if (self._first.engine, self._first.eps, self._first.norm) != ("native", self.eps, self.norm):
            raise RequestError("the PGD before AutoAttack is our own, at the same ε in the same norm")

    @property
    def _first(self) -> PGD:
        assert self.pgd is not None
        return self.pgd

    @property
    def ball(self) -> str:
        return self.norm

    @property
    def prior(self) -> tuple[Attack, ...]:
        below = [replace(self, eps=rung.eps, pgd=rung) for rung in self._first.rungs[:-1]]
        return (self._first, *below[-1:])

    def key(self) -> dict[str, Any]:
        return {**super().key(), "pgd": self._first.key()}

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
        if len(chosen) and _is_randomized(network, data.images(torch.as_tensor(chosen[:batch_size])).to(device)):
            warnings.warn(RANDOMIZED, AttackWarning, stacklevel=2)
        found = super().search(network, data, chosen, device=device, batch_size=batch_size, **options)
        assert found.by is not None
        square = int((found.by == len(self.components) - 1).sum())
        if square > MOST_BY_SQUARE * len(chosen):
            warnings.warn(BLACK_BOX_WINS.format(label=self.label, n=square, of=len(chosen)), AttackWarning, stacklevel=2)
        return found

    def _by_library(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        from robustbench_zs.perturbations.engines import torchattacks_engine

        start = images.clamp(0, 1)  # the library refuses an image at -3e-8
        found = torchattacks_engine.auto_attack(network, start, labels, indices, self.eps, self.norm, self.seed)
        return self._verified(images, found)

    @property
    def label(self) -> str:
        said = [f"norm={self.norm}"] if self.norm != "linf" else []
        said += [f"steps={self._first.steps}"] if self._first.steps != DEFAULT_STEPS else []
        said += [f"restarts={self._first.restarts}"] if self._first.restarts != 1 else []
        said += ["ladder"] if self._first.ladder else []
        return f"autoattack({', '.join([f'eps={format_number(self.eps)}', *said])})"

    @property
    def request(self) -> str | None:
        if self._first != PGD(
            self.eps,
            steps=self._first.steps,
            restarts=self._first.restarts,
            seed=self.seed,
            norm=self.norm,
            ladder=self._first.ladder,
        ):
            return None  # made in Python
        options = [
            ("steps", self._first.steps, DEFAULT_STEPS),
            ("restarts", self._first.restarts, 1),
            ("norm", self.norm, "linf"),
            ("attack-seed", self.seed, DEFAULT_SEED),
            ("engine", self.engine, DEFAULT_ENGINE),
        ]
        return self._request(*options, below=self._first.ladder)


RANDOMIZED = (
    "the network is randomized: two passes over the same images give other logits, so its robust accuracy is likely too "
    "high; there is no --eot, with which attacks would average over draws"
)
BLACK_BOX_WINS = (
    "{label}: Square, which asks for no gradient, fools {n} of {of} images after the attacks that follow gradients: "
    "gradients may be masked, see `zsbench masking`"
)


def _is_randomized(network: nn.Module, images: Tensor) -> bool:
    """Whether the logits of two passes differ by more than rounding."""
    with torch.no_grad():
        first, second = network(images), network(images)
    finite = torch.isfinite(first).all(1) & torch.isfinite(second).all(1)
    apart = (first - second).abs().amax(1) > CLEAR * first.abs().amax(1)
    return bool((finite & apart).any())
