"""What every perturbation is: an image batch in, an image batch out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from robustbench_zs.perturbations.native import Directions


class Perturbation(ABC):
    """A frozen value with its parameters as fields; subclasses are dataclasses.

    `kind` names it in results, `attacks` says whether it attacks the network it is measured on.

    Examples:
        >>> isinstance(zs.PGD("8/255"), zs.Perturbation), zs.PGD("8/255").attacks, zs.ConstantNoise(0.3).attacks
        (True, True, False)
    """

    kind: ClassVar[str]
    attacks: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        """Perturb a batch.

        Args:
            network: N×C×H×W images in [0, 1] → N×K logits, in evaluation mode; ignored by noise.
            images: float32 in [0, 1], N×C×H×W.
            labels: int64, N.
            indices: int64, N, on the CPU: place of each image in its split, to which random draws belong.

        Returns:
            float32 in [0, 1], N×C×H×W, on the device of `images`.
        """

    def key(self) -> dict[str, Any]:
        """Canonical parameters as JSON values; equal keys give equal images."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]

    @property
    @abstractmethod
    def label(self) -> str:
        """Short text for tables, such as `gaussian(delta=0.02)`."""

    @property
    def request(self) -> str | None:
        """What `zsbench` takes to make it, such as `evaluate --noise gaussian --delta 0.02`; None where it takes nothing."""
        return None

    def with_directions(self, directions: Directions) -> Self:
        """The perturbation with gradients computed in `directions`, where it leaves that open."""
        return self

    @property
    def answers(self) -> int:
        """How many answers the network has: an image counts as right if its label is among so many largest logits."""
        return 1

    @property
    def seed_or_none(self) -> int | None:
        return getattr(self, "seed", None)

    @property
    def engine_or_none(self) -> str | None:
        return getattr(self, "engine", None)

    @property
    def directions_or_none(self) -> Directions | None:
        """What gradients are computed in; None where our own engine computes none."""
        return None
