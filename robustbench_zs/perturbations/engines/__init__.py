"""The engines that run attacks: our own (`perturbations.native`), or a library, which is imported when it is first used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from torch import Tensor, nn

ENGINES = ("native", "foolbox", "torchattacks")


@dataclass(frozen=True, eq=False)
class Batch:
    """Images, N×C×H×W, with their labels and their numbers, to which random draws belong."""

    images: Tensor
    labels: Tensor
    indices: Tensor


class Engine(Protocol):
    """A library's L∞ attacks on a network that takes images in [0, 1]; all tensors stay on their device."""

    def fgsm(self, network: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Tensor: ...

    def pgd(
        self, network: nn.Module, batch: Batch, eps: float, steps: int, step_size: float, seed: int, restart: int
    ) -> Tensor: ...


def engine(name: str) -> Engine:
    """The module of that library in this package.

    Raises:
        RequestError: the library behind it is not installed.
    """
    return cast(Engine, importlib.import_module(f"robustbench_zs.perturbations.engines.{name}_engine"))
