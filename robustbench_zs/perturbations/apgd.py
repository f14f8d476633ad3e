"""Auto-PGD, and targeted attacks that try one class after another until one of them succeeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.attacks import DEFAULT_ENGINE, carried_out_by
from robustbench_zs.perturbations.iterative import IterativeAttack, Steps
from robustbench_zs.perturbations.numbers import check_whole

if TYPE_CHECKING:
    from robustbench_zs.perturbations.native import Method

DEFAULT_TARGETS = 9
"""The published number; with fewer classes all others."""


@dataclass(frozen=True)
class APGD(IterativeAttack):
    """Auto-PGD from a random start (Croce and Hein 2020): the length of its steps adapts to each image.

    Examples:
        >>> zs.APGD(0.5, norm="l2", loss="dlr").steps
        100
    """

    engine: Annotated[str, carried_out_by(DEFAULT_ENGINE)] = DEFAULT_ENGINE
    steps: Steps = 100
    kind: ClassVar[str] = "apgd"

    @property
    def methods(self) -> tuple[Method, ...]:
        from robustbench_zs.perturbations.native import APGDRule

        return (self._method(APGDRule(self.steps)),)


@dataclass(frozen=True)
class TargetedAPGD(APGD):
    """APGD on the targeted DLR loss, APGD-T (Croce and Hein 2020, §4.2): any wrong class counts, not only the target.

    Args:
        targets: how many of the other classes, those with the largest logits on the clean image, are tried in turn.

    Examples:
        >>> zs.TargetedAPGD("1/255", targets=3).label
        'apgd-t(eps=1/255, steps=100, targets=3)'
    """

    loss: str = "dlr"
    target: int | str | None = None
    targets: int = DEFAULT_TARGETS
    kind: ClassVar[str] = "apgd-t"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(f"targets of {self.kind}", self.targets, 10_000)
        if self.loss != type(self).loss or self.target is not None:
            raise RequestError(f"{self.kind} has its own loss and targets: leave both out")

    def _told(self) -> list[str]:
        return [*super()._told(), *([f"targets={self.targets}"] if self.targets != DEFAULT_TARGETS else [])]

    @property
    def methods(self) -> tuple[Method, ...]:
        from robustbench_zs.perturbations.native import TARGETED_LOSSES, APGDRule, Nearest, Targets

        targets = Targets(Nearest(self.targets), TARGETED_LOSSES["dlr"])
        return (self._method(APGDRule(self.steps), targets=targets),)


@dataclass(frozen=True)
class FAB(TargetedAPGD):
    """Targeted fast adaptive boundary attack, FAB-T (Croce and Hein 2020): looks for the nearest point beyond each boundary,
    and an image is fooled once one lies in the ball. It starts at the image, so nothing is random.

    Examples:
        >>> zs.FAB("1/255").label
        'fab(eps=1/255, steps=100)'
    """

    loss: str = "margin"
    kind: ClassVar[str] = "fab"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.restarts != 1:
            raise RequestError("fab starts at the image itself, so it has no restarts: leave them out")

    def key(self) -> dict[str, Any]:
        return {name: value for name, value in super().key().items() if name != "seed"}

    @property
    def seed_or_none(self) -> int | None:
        return None

    @property
    def methods(self) -> tuple[Method, ...]:
        from robustbench_zs.perturbations.native import LOSSES, NORMS, FABRule, Method, Nearest, Targets, beyond_ties

        targets = Targets(Nearest(self.targets), beyond_ties)
        return (Method(FABRule(self.steps), NORMS[self.norm], LOSSES["margin"], targets=targets),)
