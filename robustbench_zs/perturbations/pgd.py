"""Projected gradient descent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_args

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.attacks import MAX_EPS
from robustbench_zs.perturbations.base import Directions
from robustbench_zs.perturbations.iterative import IterativeAttack
from robustbench_zs.perturbations.numbers import format_number
from robustbench_zs.perturbations.parameters import Meaning

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robustbench_zs.perturbations.native import Method

STEP_SIZE_PART = 4
"""By default a step of PGD is ε/4, torchattacks' choice at ε = 8/255."""

CLIMBING_TENTHS = 4
"""Tenths of its steps with which PGD goes on to the next rung of a ladder; `benchmarks/speed` has what they find."""

DIRECTIONS = ("auto", *get_args(Directions))


@dataclass(frozen=True)
class PGD(IterativeAttack):
    """Projected gradient descent from a random start in the ball (Madry et al. 2018).

    Our own engine counts an image as fooled when any iterate fools it, the libraries when the last one does. With the engine
    `foolbox` the random start is that of our own; `torchattacks` draws it, seeded by the seed and the first image of the
    batch, so there it depends on the batch size.

    Args:
        step_size: length of a step; ε/4 by default.
        last: only the last iterate counts; None leaves that to the engine.
        directions: `"bfloat16"` computes gradients in bfloat16 and follows their signs (L2: directions); an example counts
            only where float32 says so, and float32 judges each last iterate. `"auto"` leaves the choice to `evaluate`;
            elsewhere it is `"float32"`. Of our own engine alone.

    Examples:
        >>> zs.PGD("8/255", steps=20, restarts=3).label
        'pgd(eps=8/255, steps=20, restarts=3)'
    """

    step_size: Annotated[
        float | None, Meaning("Length of a step; ε/4 by default.", 0, MAX_EPS["l2"], above=True, shown=False)
    ] = None
    last: Annotated[
        bool | None, Meaning("Whether only the last iterate counts; by default the engine decides.", shown=False)
    ] = None
    directions: Annotated[
        Literal["auto"] | Directions,
        Meaning(
            "Number format of the attack's gradients; float32 decides in any case whether an example counts.",
            choices=DIRECTIONS,
            shown=False,
        ),
    ] = "auto"
    kind: ClassVar[str] = "pgd"

    def __post_init__(self) -> None:
        super().__post_init__()
        usual = self.eps / STEP_SIZE_PART
        step_size = usual if self.step_size is None else self._check_length("step size", self.step_size)
        object.__setattr__(self, "step_size", step_size)
        last = self.engine != "native" if self.last is None else self.last
        object.__setattr__(self, "last", last)
        if self.below and step_size != usual:
            raise RequestError("each step of a ladder is a quarter of its ε: leave the step size out, or give a single ε")
        if self.engine != "native" and self.directions == "bfloat16":
            raise RequestError(f"the engine {self.engine} computes no directions in bfloat16: leave one of them out")
        beyond = self.norm != "linf" or self.loss != "ce" or not last or self.below or self.target is not None
        if self.engine != "native" and beyond:
            raise RequestError(
                f"the engine {self.engine} runs PGD only untargeted, in the L∞ ball, on cross-entropy, with a single ε and "
                "to its last iterate: use the engine native for anything else"
            )

    @property
    def steps_on(self) -> int:
        return -(-self.steps * CLIMBING_TENTHS // 10)

    @property
    def methods(self) -> tuple[Method, ...]:
        from robustbench_zs.perturbations.native import PGDRule

        assert self.step_size is not None
        method = self._method(PGDRule(self.steps, self.step_size / self.eps), bool(self.last))
        return (replace(method, directions="bfloat16" if self.directions == "bfloat16" else "float32"),)

    def with_directions(self, directions: Directions) -> Self:
        return replace(self, directions=directions) if self.directions == "auto" and self.engine == "native" else self

    def _rung(self, eps: float, below: tuple[float, ...]) -> Self:
        return replace(self, eps=eps, below=below, step_size=None)

    def key(self) -> dict[str, Any]:
        from robustbench_zs.perturbations.native import PACE_ON, SUSPECT, WIDEST_RUNG

        values = super().key()
        values["directions"] = ["bfloat16", SUSPECT] if self.directions == "bfloat16" else None
        usual = {"norm": "linf", "loss": "ce", "ladder": (), "last": self.engine != "native", "directions": None}
        said = {k: v for k, v in values.items() if k not in usual or v != usual[k]}
        return {**said, **({"climb": [self.steps_on, PACE_ON, WIDEST_RUNG]} if self.below else {})}

    def _by_library(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        from robustbench_zs.perturbations.engines.restarts import pgd_in_restarts

        return pgd_in_restarts(self, network, images, labels, indices)

    def _told(self) -> list[str]:
        assert self.step_size is not None
        eps, steps, *others = super()._told()
        longer = self.step_size != self.eps / STEP_SIZE_PART
        own = [f"step_size={format_number(self.step_size)}"] if longer else []
        return [eps, steps, *own, *(["last"] if self.engine == "native" and self.last else []), *others]
