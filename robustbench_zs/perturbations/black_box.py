"""Attacks that ask for logits alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from robustbench_zs.perturbations import draws
from robustbench_zs.perturbations.attacks import DEFAULT_SEED, Attack, check_whole
from robustbench_zs.perturbations.numbers import format_number

DEFAULT_QUERIES = 1000


@dataclass(frozen=True)
class Square(Attack):
    """Random search with square-shaped changes on the margin (Andriushchenko et al. 2020); asks for logits, not gradients.

    Carried out by torchattacks alone, whose draws are seeded by the seed and the first image of the batch, so they depend on
    the batch size.

    Examples:
        >>> zs.Square("8/255", queries=5000).queries
        5000
    """

    engine: str = "torchattacks"
    queries: int = DEFAULT_QUERIES
    seed: int = DEFAULT_SEED
    kind: ClassVar[str] = "square"
    engines: ClassVar[tuple[str, ...]] = ("torchattacks",)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("queries of Square", self.queries, 1_000_000)
        draws.checked_seed(self.seed)

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        from robustbench_zs.perturbations.engines import torchattacks_engine

        start = images.clamp(0, 1)  # the library refuses an image at -3e-8
        found = torchattacks_engine.square(network, start, labels, indices, self.eps, self.queries, self.seed)
        return self._verified(images, found)

    @property
    def label(self) -> str:
        return f"square(eps={format_number(self.eps)}, queries={self.queries})"

    @property
    def request(self) -> str:
        return self._request(("queries", self.queries, None), ("attack-seed", self.seed, DEFAULT_SEED))
