"""Clean images with several answers per image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from robustbench_zs.perturbations.base import Perturbation
from robustbench_zs.perturbations.parameters import Meaning

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class CleanTop(Perturbation):
    """Clean images with several answers, such as ImageNet's top-5 accuracy.

    An answer is right if the label is among the `top` largest logits.

    Raises:
        RequestError: `top` is not a whole number from 2 to 100.
    """

    top: Annotated[int, Meaning("A label counts as correct if it is among this many best answers.", 2, 100, shown=True)] = 5
    kind: ClassVar[str] = "clean"

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        return images

    @property
    def answers(self) -> int:
        return self.top
