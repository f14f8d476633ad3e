"""No perturbation, and another way of counting right answers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.base import Perturbation
from robustbench_zs.system.python_numbers import take_python_numbers


@dataclass(frozen=True)
class CleanTop(Perturbation):
    """The images as they are; an answer is right if the label is among the `top` largest logits, as in ImageNet's top-5.

    Raises:
        RequestError: `top` is not a whole number from 2 to 100.
    """

    top: int = 5

    kind = "clean"

    def __post_init__(self) -> None:
        take_python_numbers(self)
        if isinstance(self.top, bool) or not isinstance(self.top, int) or not 2 <= self.top <= 100:
            raise RequestError(f"top is a whole number from 2 to 100, not {self.top!r}")

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        return images

    @property
    def label(self) -> str:
        return f"clean(top={self.top})"

    @property
    def answers(self) -> int:
        return self.top
