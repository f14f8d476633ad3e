"""Attacks that ask for logits alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from robustbench_zs.perturbations import draws
from robustbench_zs.perturbations.attacks import DEFAULT_ENGINE, DEFAULT_SEED, GradientAttack, check_whole
from robustbench_zs.perturbations.native import LOSSES, NORMS, Method, SquareL2, SquareLinf
from robustbench_zs.perturbations.numbers import format_number

DEFAULT_QUERIES = 1000


@dataclass(frozen=True)
class Square(GradientAttack):
    """Random search with square-shaped changes on the margin (Andriushchenko et al. 2020); asks for logits, not gradients.

    With the engine `torchattacks` the draws are seeded by the seed and the first image of the batch, so there they depend on
    the batch size.

    Args:
        queries: passes of the network an image, besides the one at its start.

    Examples:
        >>> zs.Square("8/255", queries=5000).queries
        5000
    """

    queries: int = DEFAULT_QUERIES
    seed: int = DEFAULT_SEED
    norm: str = "linf"
    kind: ClassVar[str] = "square"
    engines: ClassVar[tuple[str, ...]] = ("native", "torchattacks")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("queries of Square", self.queries, 1_000_000)
        draws.checked_seed(self.seed)

    @property
    def ball(self) -> str:
        return self.norm

    @property
    def methods(self) -> tuple[Method, ...]:
        rule = {"linf": SquareLinf, "l2": SquareL2}[self.norm]
        return (Method(rule(self.queries, self.seed), NORMS[self.norm], LOSSES["margin"]),)

    def key(self) -> dict[str, Any]:
        return {name: value for name, value in super().key().items() if name != "norm" or value != "linf"}

    def _by_library(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        from robustbench_zs.perturbations.engines import torchattacks_engine

        start = images.clamp(0, 1)  # the library refuses an image at -3e-8
        found = torchattacks_engine.square(network, start, labels, indices, self.eps, self.norm, self.queries, self.seed)
        return self._verified(images, found)

    @property
    def label(self) -> str:
        norm = f", norm={self.norm}" if self.norm != "linf" else ""
        return f"square(eps={format_number(self.eps)}, queries={self.queries}{norm})"

    @property
    def request(self) -> str:
        return self._request(
            ("queries", self.queries, None),
            ("norm", self.norm, "linf"),
            ("attack-seed", self.seed, DEFAULT_SEED),
            ("engine", self.engine, DEFAULT_ENGINE),
        )
