"""Attacks that use only logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from robustbench_zs.perturbations.attacks import (
    DEFAULT_ENGINE,
    DEFAULT_SEED,
    AttackSeed,
    Ball,
    GradientAttack,
    carried_out_by,
)
from robustbench_zs.perturbations.parameters import Meaning

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robustbench_zs.perturbations.native import Method


@dataclass(frozen=True)
class Square(GradientAttack):
    """Random search with square-shaped changes on the margin (Andriushchenko et al. 2020); asks for logits, not gradients.

    With the engine `torchattacks` the draws are seeded by the seed and the first image of the batch, so there they depend on
    the batch size.

    Args:
        queries: passes of the network per image, besides the one at its start.

    Examples:
        >>> zs.Square("8/255", queries=5000).queries
        5000
    """

    engine: Annotated[str, carried_out_by("native", "torchattacks")] = DEFAULT_ENGINE
    queries: Annotated[int, Meaning("Evaluations of the network per image.", 1, 1_000_000, shown=True)] = 1000
    seed: AttackSeed = DEFAULT_SEED
    norm: Ball = "linf"
    kind: ClassVar[str] = "square"

    @property
    def methods(self) -> tuple[Method, ...]:
        from robustbench_zs.perturbations.native import LOSSES, NORMS, Method, SquareL2, SquareLinf

        rule = {"linf": SquareLinf, "l2": SquareL2}[self.norm]
        return (Method(rule(self.queries, self.seed), NORMS[self.norm], LOSSES["margin"]),)

    def key(self) -> dict[str, Any]:
        return {name: value for name, value in super().key().items() if name != "norm" or value != "linf"}

    def _by_library(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        from robustbench_zs.perturbations.engines import Batch, torchattacks_engine

        start = images.clamp(0, 1)  # the library refuses an image at -3e-8
        found = torchattacks_engine.square(
            network, Batch(start, labels, indices), self.eps, self.norm, self.queries, self.seed
        )
        return self.verified(images, found)
