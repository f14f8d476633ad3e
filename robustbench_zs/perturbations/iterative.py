"""What attacks in many steps share: ladders of budgets, restarts, norm, loss and target."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Self

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.attacks import DEFAULT_ENGINE, DEFAULT_SEED, AttackSeed, Ball, GradientAttack
from robustbench_zs.perturbations.parameters import Meaning, Parameter

if TYPE_CHECKING:
    from robustbench_zs.perturbations.native import Method, Rule, Targets
    from robustbench_zs.schemes import CoefficientLike

NAMED_TARGETS = ("next", "random", "least-likely")
MAX_STEPS = 100_000

Steps = Annotated[int, Meaning("Steps of the attack.", 1, MAX_STEPS, shown=True)]
Restarts = Annotated[int, Meaning("Random starts per image.", 1, 1000)]

LADDER = Parameter(
    "ladder",
    bool,
    True,
    Meaning("Whether an image that is fooled at a smaller ε counts as fooled at larger ones without another attack."),
)


@dataclass(frozen=True)
class Laddered(GradientAttack):
    """An attack that several budgets can share: an image that is fooled at one of them is not attacked at larger ones.

    Args:
        below: smaller budgets, ascending, that are tried before: an image that falls there counts as fooled here.
    """

    below: tuple[float, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        rungs = (*(self._check_length("eps", eps) for eps in self.below), self.eps)
        if any(low >= high for low, high in pairwise(rungs)):
            raise RequestError("the budgets of a ladder must increase")
        object.__setattr__(self, "below", rungs[:-1])

    @classmethod
    def ladder(cls, *eps: CoefficientLike, **options: Any) -> list[Self]:
        """One attack per budget, in the order given; an image that one of them fools counts as fooled at every larger one.

        Raises:
            RequestError: a value is not allowed.

        Examples:
            >>> [attack.label for attack in zs.PGD.ladder("2/255", "8/255")]
            ['pgd(eps=2/255, steps=10)', 'pgd(eps=8/255, steps=10, ladder)']
        """
        levels = [cls(level, **options).eps for level in eps]  # type: ignore[arg-type]
        return [cls(top, below=tuple(sorted({e for e in levels if e < top})), **options) for top in levels]

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        return (*super().parameters(), LADDER)

    @classmethod
    def of(cls, **said: Any) -> list[Self]:
        ladder = said.pop("ladder", True)
        return cls.ladder(*said.pop("eps"), **said) if ladder else super().of(**said)

    def _told(self) -> list[str]:
        return [*super()._told(), *(["ladder"] if self.below else [])]


@dataclass(frozen=True)
class IterativeAttack(Laddered):
    """What PGD and APGD share.

    Args:
        steps: gradients per image and restart.
        restarts: random starts; an image counts as fooled when any fools it.
        seed: of the random starts, which belong to the image.
        norm: `"linf"` or `"l2"`, the norm of the ball.
        loss: `"ce"` (cross-entropy), `"dlr"` (Croce and Hein 2020) or `"margin"` (Carlini and Wagner 2017).
        below: of a ladder. Where ε at most doubles, PGD goes on from the last iterate, the change enlarged with ε, for
            ⌈0.4·steps⌉ steps of twice the length (further restarts have their own start, and all steps); else it begins
            afresh, as APGD always does.
        target: the class that each image is driven to, instead of just away from its own: `"next"` (label + 1, around),
            `"random"` (another one, which belongs to the image), `"least-likely"` (of the others, when clean), or a number.
            Only an image that is taken for its target counts as fooled: accuracy is the share of images that are right when
            clean and do not reach it, and the drop is the success rate. An image of that class is not attacked.
    """

    steps: Steps = 10
    restarts: Restarts = 1
    seed: AttackSeed = DEFAULT_SEED
    norm: Ball = "linf"
    loss: Annotated[str, Meaning("Loss that the attack maximizes.", choices=("ce", "dlr", "margin"))] = "ce"
    target: Annotated[
        int | str | None,
        Meaning("Class that each image should be taken for: next, random, least-likely or its number; nothing else counts."),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target is None:
            return
        target = str(self.target)
        if target not in NAMED_TARGETS and not (target.isascii() and target.isdecimal() and len(target) < 9):
            raise RequestError(f"a target must be {', '.join(NAMED_TARGETS)} or the number of a class, not {target[:40]!r}")
        object.__setattr__(self, "target", target)

    @classmethod
    def of(cls, **said: Any) -> list[Self]:
        climbs = said.get("engine") in (None, DEFAULT_ENGINE) and said.get("step_size") is None
        return super().of(**said | {"ladder": climbs and said.get("ladder", True)})

    def _method(self, rule: Rule, last: bool = False, targets: Targets | None = None) -> Method:
        from robustbench_zs.perturbations.native import LOSSES, NORMS, TARGETED_LOSSES, Method, One, Targets

        if self.target is not None:
            targets = Targets(One(str(self.target), self.seed), TARGETED_LOSSES[self.loss], reached=True)
        return Method(rule, NORMS[self.norm], LOSSES[self.loss], self.restarts, self.seed, last, targets)

    def key(self) -> dict[str, Any]:
        values = super().key()
        values["ladder"] = values.pop("below")
        return {name: value for name, value in values.items() if name != "target" or value is not None}

    @property
    def rungs(self) -> list[Self]:
        return [*(self._rung(eps, self.below[:place]) for place, eps in enumerate(self.below)), self]

    def _rung(self, eps: float, below: tuple[float, ...]) -> Self:
        return replace(self, eps=eps, below=below)
