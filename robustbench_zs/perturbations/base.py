"""What every perturbation is: an image batch in, an image batch out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from robustbench_zs.perturbations.numbers import format_number
from robustbench_zs.perturbations.parameters import Parameter, parameters_of, take_parameters

if TYPE_CHECKING:
    from torch import Tensor, nn

Directions = Literal["float32", "bfloat16"]


class Perturbation(ABC):
    """A frozen value with its parameters as fields; subclasses are dataclasses whose annotations say what the fields mean.

    `kind` names it in results, `attacks` says whether it attacks the network it is measured on.

    Examples:
        >>> isinstance(zs.PGD("8/255"), zs.Perturbation), zs.PGD("8/255").attacks, zs.ConstantNoise(0.3).attacks
        (True, True, False)
    """

    kind: ClassVar[str]
    attacks: ClassVar[bool] = False

    def __post_init__(self) -> None:
        take_parameters(self, self.kind)

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        """The parameters that can be set in study files and on the command line."""
        return tuple(parameter for parameter in parameters_of(cls) if parameter.asked)

    @classmethod
    def of(cls, **said: Any) -> list[Self]:
        """The perturbations that the parameters describe: one per level if a parameter has several.

        Raises:
            RequestError: a value is not allowed.
        """
        name = next((parameter.name for parameter in cls.parameters() if parameter.meaning.several), None)
        return [cls(**said | {name: level}) for level in said[name]] if name else [cls(**said)]

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
    def label(self) -> str:
        """Short text for tables, such as `gaussian(delta=0.02)`."""
        return f"{self.kind}({', '.join(self._told())})"

    def _told(self) -> list[str]:
        """What the label says of the parameters."""
        shown = {p.name: getattr(self, p.name) for p in parameters_of(type(self)) if p.is_shown(getattr(self, p.name))}
        return [f"{name}={format_number(v) if isinstance(v, float) else v}" for name, v in shown.items()]

    def with_directions(self, directions: Directions) -> Self:
        """The perturbation with gradients computed in `directions`, where it leaves that open."""
        return self

    @property
    def answers(self) -> int:
        """Number k of answers per image, which counts as correct if its label is among the k largest logits."""
        return 1

    @property
    def seed_or_none(self) -> int | None:
        return getattr(self, "seed", None)

    @property
    def engine_or_none(self) -> str | None:
        return getattr(self, "engine", None)

    @property
    def directions_or_none(self) -> Directions | None:
        """The number format of gradients; None where our own engine computes none."""
        return None
