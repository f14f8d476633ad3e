"""Attacks as values: FGSM, PGD, APGD; the engines carry them out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from torch import Tensor, nn

from robustbench_zs.errors import RequestError, UnfinishedError
from robustbench_zs.perturbations import draws
from robustbench_zs.perturbations.base import Perturbation
from robustbench_zs.perturbations.engines import ENGINES, engine
from robustbench_zs.perturbations.native import (
    LOSSES,
    NORMS,
    PACE_ON,
    SUSPECT,
    TARGETED_LOSSES,
    WIDEST_RUNG,
    APGDRule,
    Chosen,
    Directions,
    Found,
    Images,
    Ladder,
    Method,
    One,
    PGDRule,
    Rule,
    Targets,
    search_in_turn,
)
from robustbench_zs.perturbations.numbers import format_number, parse_number
from robustbench_zs.system.python_numbers import take_python_numbers

DEFAULT_ENGINE = "native"
DEFAULT_SEED = 1
DEFAULT_STEPS = 10
DEFAULT_APGD_STEPS = 100
STEP_SIZE_PART = 4
"""By default a step of PGD is ε/4, torchattacks' choice at ε = 8/255."""

CLIMBING_TENTHS = 4
"""Tenths of its steps with which PGD goes on to the next rung of a ladder; `benchmarks/speed` has what they find."""

BALL_TOLERANCE = 1e-6
"""How far rounding may carry an example out of the ε-ball before it counts as an error of the engine."""

DIRECTIONS = ("auto", *get_args(Directions))

LARGEST_EPS = {"linf": 1.0, "l2": 1000.0}


@dataclass(frozen=True)
class Attack(Perturbation):
    """What attacks share: the budget `eps` above 0, as a fraction of the pixel range, and the engine.

    For L∞ a budget is at most 1; an L2 budget is the Euclidean length of the change.
    """

    eps: float
    engine: str = DEFAULT_ENGINE
    attacks: ClassVar[bool] = True
    engines: ClassVar[tuple[str, ...]] = ENGINES

    def __post_init__(self) -> None:
        take_python_numbers(self)
        if self.ball not in NORMS:
            raise RequestError(f"the norm is one of {', '.join(NORMS)}, not {self.ball[:40]!r}")
        object.__setattr__(self, "eps", parse_number(self.eps, "eps", 0, LARGEST_EPS[self.ball], open_low=True))
        if self.engine not in self.engines:
            raise RequestError(f"the engine of {self.kind} is one of {', '.join(self.engines)}, not {self.engine[:40]!r}")

    @property
    def ball(self) -> str:
        """The norm of the ball, `linf` or `l2`."""
        return "linf"

    @property
    def prior(self) -> tuple[Attack, ...]:
        """Attacks that go before this one: an image that one of them fools counts as fooled here."""
        return ()

    def _request(self, *options: tuple[str, object, object], below: Sequence[float] = ()) -> str:
        """`attack --KIND --eps ε` and the options, each a name, a value and the default that need not be said; `below` are
        the smaller ε of a ladder."""
        said = [f"--{name} {value}" for name, value, default in options if value != default]
        kind = f"--{self.kind}" if self.kind in ("fgsm", "pgd") else f"--attack {self.kind}"
        return " ".join([f"attack {kind} --eps {','.join(map(format_number, (*below, self.eps)))}", *said])

    def _verified(self, images: Tensor, adversarial: Tensor) -> Tensor:
        """The examples, clipped to the ball and to [0, 1].

        Raises:
            UnfinishedError: the engine left the ball by more than rounding.
        """
        norm = NORMS[self.ball]
        # A non-finite pixel (NaN gradients of a diverged network) is no example: the clean image stands in for it.
        adversarial = torch.where(torch.isfinite(adversarial), adversarial, images)
        if float(norm.distance(adversarial, images).max()) > self.eps * (1 + BALL_TOLERANCE) + BALL_TOLERANCE:
            raise UnfinishedError(f"the engine {self.engine} returned images outside of the ball of {self.label}")
        return norm.project(adversarial, images, torch.full((len(images),), self.eps, device=images.device))


@dataclass(frozen=True)
class _Batch:
    """Images at hand, read as a split is."""

    pixels: Tensor
    labels: Tensor

    def images(self, indices: Tensor) -> Tensor:
        return self.pixels[indices]


@dataclass(frozen=True)
class GradientAttack(Attack):
    """An attack that our own engine can carry out; all but Square follow gradients."""

    @property
    @abstractmethod
    def methods(self) -> tuple[Method, ...]:
        """How our own engine carries it out: one method after the other, each on what still stands."""

    @property
    def rungs(self) -> list[Self]:
        """The attacks of the ladder up to this one: an image that one of them fools is not attacked by the next."""
        return [self]

    @property
    def steps_on(self) -> int | None:
        """Steps with which an image goes on to the next rung from its last iterate; None always begins afresh."""
        return None

    def search(
        self,
        network: nn.Module,
        data: Images,
        chosen: Sequence[int],
        *,
        device: torch.device,
        batch_size: int,
        numbers: Sequence[int] | None = None,
        examples: bool = False,
    ) -> Found:
        """Attack images with our own engine, see `native.search`.

        Raises:
            RequestError: the loss needs more classes.
        """
        return search_in_turn(
            network,
            Chosen(data, chosen, numbers),
            self.methods,
            Ladder(tuple(rung.eps for rung in self.rungs), self.steps_on),
            device=device,
            batch_size=batch_size,
            examples=examples,
        )

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        if self.engine != "native":
            return self._by_library(network, images, labels, indices)
        found = self.search(
            network,
            _Batch(images, labels),
            range(len(images)),
            device=images.device,
            batch_size=len(images),
            numbers=indices.tolist(),
            examples=True,
        )
        assert found.examples is not None
        return self._verified(images, found.examples)

    @property
    def directions_or_none(self) -> Directions | None:
        followed = [method.directions for method in self.methods if method.rule.gradients]
        return followed[0] if followed and self.engine == "native" else None

    @abstractmethod
    def _by_library(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class FGSM(GradientAttack):
    """One step of size eps along the sign of the gradient (Goodfellow, Shlens, Szegedy 2014).

    Examples:
        >>> zs.FGSM("8/255").label
        'fgsm(eps=8/255)'
    """

    kind: ClassVar[str] = "fgsm"

    @property
    def methods(self) -> tuple[Method, ...]:
        return (Method(PGDRule(1, 1.0), NORMS["linf"], LOSSES["ce"], only_last=True),)

    def _by_library(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        return self._verified(images, engine(self.engine).fgsm(network, images, labels, self.eps))

    @property
    def label(self) -> str:
        return f"fgsm(eps={format_number(self.eps)})"

    @property
    def request(self) -> str:
        return self._request(("engine", self.engine, DEFAULT_ENGINE))


@dataclass(frozen=True)
class IterativeAttack(GradientAttack):
    """What PGD and APGD share.

    Args:
        steps: gradients an image and restart.
        restarts: random starts; an image counts as fooled when any fools it.
        seed: of the random starts, which belong to the image.
        norm: `"linf"` or `"l2"`, the norm of the ball.
        loss: `"ce"` (cross-entropy), `"dlr"` (Croce and Hein 2020) or `"margin"` (Carlini and Wagner 2017).
        ladder: smaller budgets, ascending, that are tried before: an image that falls there counts as fooled here. Where ε
            at most doubles, PGD goes on from the last iterate, the change enlarged with ε, for ⌈0.4·steps⌉ steps of twice
            the length (further restarts have their own start, and all steps); else it begins afresh, as APGD always does.
        target: the class that each image is driven to, instead of just away from its own: `"next"` (label + 1, around),
            `"random"` (another one, which belongs to the image), `"least-likely"` (of the others, when clean), or a number.
            Only an image that is taken for its target counts as fooled: accuracy is the share of images that are right when
            clean and do not reach it, and the drop is the success rate. An image of that class is not attacked.
    """

    steps: int = DEFAULT_STEPS
    restarts: int = 1
    seed: int = DEFAULT_SEED
    norm: str = "linf"
    loss: str = "ce"
    ladder: tuple[float, ...] = ()
    target: str | int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target is not None:
            object.__setattr__(self, "target", One(str(self.target)).name)
        for name, high in (("steps", 100_000), ("restarts", 1000)):
            check_whole(f"{name} of {self.kind.upper()}", getattr(self, name), high)
        draws.checked_seed(self.seed)
        if self.loss not in LOSSES:
            raise RequestError(f"the loss is one of {', '.join(LOSSES)}, not {self.loss[:40]!r}")
        rungs = (*(parse_number(e, "eps", 0, LARGEST_EPS[self.ball], open_low=True) for e in self.ladder), self.eps)
        if any(low >= high for low, high in pairwise(rungs)):
            raise RequestError("the budgets of a ladder ascend")
        object.__setattr__(self, "ladder", rungs[:-1])

    @property
    def ball(self) -> str:
        return self.norm

    @property
    @abstractmethod
    def method(self) -> Method:
        """The one method of our own engine."""

    @property
    def methods(self) -> tuple[Method, ...]:
        return (self.method,)

    def _method(self, rule: Rule, last: bool = False, targets: Targets | None = None) -> Method:
        if self.target is not None:
            targets = Targets(One(str(self.target), self.seed), TARGETED_LOSSES[self.loss], reached=True)
        return Method(rule, NORMS[self.norm], LOSSES[self.loss], self.restarts, self.seed, last, targets)

    def key(self) -> dict[str, Any]:
        return {name: value for name, value in super().key().items() if name != "target" or value is not None}

    @property
    def rungs(self) -> list[Self]:
        return [*(self._rung(eps, self.ladder[:place]) for place, eps in enumerate(self.ladder)), self]

    def _rung(self, eps: float, ladder: tuple[float, ...]) -> Self:
        return replace(self, eps=eps, ladder=ladder)

    def _parts(self) -> list[str]:
        """What a label says besides ε and steps."""
        parts = [f"{name}={getattr(self, name)}" for name, usual in _USUAL if getattr(self, name) != usual]
        return [*parts, *(["ladder"] if self.ladder else [])]

    def _options(self) -> list[tuple[str, object, object]]:
        return [
            ("restarts", self.restarts, 1),
            ("norm", self.norm, "linf"),
            ("loss", self.loss, "ce"),
            ("target", self.target, None),
            ("attack-seed", self.seed, DEFAULT_SEED),
            ("engine", self.engine, DEFAULT_ENGINE),
        ]


_USUAL = (("restarts", 1), ("norm", "linf"), ("loss", "ce"), ("target", None))


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

    step_size: float | None = None
    last: bool | None = None
    directions: Literal["auto"] | Directions = "auto"
    kind: ClassVar[str] = "pgd"

    def __post_init__(self) -> None:
        super().__post_init__()
        usual = self.eps / STEP_SIZE_PART
        step_size = usual if self.step_size is None else self.step_size
        object.__setattr__(self, "step_size", parse_number(step_size, "step size", 0, LARGEST_EPS[self.ball], open_low=True))
        last = self.engine != "native" if self.last is None else self.last
        object.__setattr__(self, "last", last)
        if self.ladder and self.step_size != usual:
            raise RequestError("on a ladder each step is a quarter of ε: leave the step size out, or attack with one ε")
        if self.directions not in DIRECTIONS:
            raise RequestError(f"directions are one of {', '.join(DIRECTIONS)}, not {self.directions[:40]!r}")
        if self.engine != "native" and self.directions == "bfloat16":
            raise RequestError(f"the engine {self.engine} has no directions in bfloat16: leave one of them out")
        beyond = self.norm != "linf" or self.loss != "ce" or not last or self.ladder or self.target is not None
        if self.engine != "native" and beyond:
            raise RequestError(
                f"the engine {self.engine} has untargeted PGD in the L∞ ball on cross-entropy, one ε and the last iterate"
            )

    @property
    def steps_on(self) -> int:
        return -(-self.steps * CLIMBING_TENTHS // 10)

    @property
    def method(self) -> Method:
        assert self.step_size is not None
        method = self._method(PGDRule(self.steps, self.step_size / self.eps), bool(self.last))
        return replace(method, directions="bfloat16" if self.directions == "bfloat16" else "float32")

    def with_directions(self, directions: Directions) -> Self:
        return replace(self, directions=directions) if self.directions == "auto" and self.engine == "native" else self

    def _rung(self, eps: float, ladder: tuple[float, ...]) -> Self:
        return replace(self, eps=eps, ladder=ladder, step_size=None)

    def key(self) -> dict[str, Any]:
        values = super().key()
        values["directions"] = ["bfloat16", SUSPECT] if self.directions == "bfloat16" else None
        usual = {"norm": "linf", "loss": "ce", "ladder": (), "last": self.engine != "native", "directions": None}
        said = {k: v for k, v in values.items() if k not in usual or v != usual[k]}
        return {**said, **({"climb": [self.steps_on, PACE_ON, WIDEST_RUNG]} if self.ladder else {})}

    def _by_library(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        assert self.step_size is not None
        result = images.clone()
        standing = torch.arange(len(images))  # rows no restart has fooled yet
        for restart in range(self.restarts):
            x, y, index = images[standing], labels[standing], indices[standing]
            adversarial = self._verified(
                x, engine(self.engine).pgd(network, x, y, index, self.eps, self.steps, self.step_size, self.seed, restart)
            )
            result[standing] = adversarial
            if restart + 1 < self.restarts:
                with torch.no_grad():
                    logits = network(adversarial)
                # logits that are not finite are no right answer, whatever argmax makes of them
                standing = standing[(torch.isfinite(logits).all(1) & (logits.argmax(1) == y)).cpu()]
                if len(standing) == 0:
                    break
        return result

    @property
    def label(self) -> str:
        assert self.step_size is not None
        parts = [f"eps={format_number(self.eps)}", f"steps={self.steps}"]
        if self.step_size != self.eps / STEP_SIZE_PART:
            parts.append(f"step_size={format_number(self.step_size)}")
        if self.engine == "native" and self.last:
            parts.append("last")
        return f"pgd({', '.join([*parts, *self._parts()])})"

    @property
    def request(self) -> str:
        assert self.step_size is not None
        options = [
            ("steps", self.steps, None),
            ("step-size", format_number(self.step_size), format_number(self.eps / STEP_SIZE_PART)),
            *self._options(),
            *([("directions", "bfloat16", None)] if self.directions == "bfloat16" else []),
        ]
        return self._request(*options, below=self.ladder) + (" --last" if self.engine == "native" and self.last else "")


@dataclass(frozen=True)
class APGD(IterativeAttack):
    """Auto-PGD from a random start (Croce and Hein 2020): the length of its steps adapts to each image.

    Examples:
        >>> zs.APGD(0.5, norm="l2", loss="dlr").steps
        100
    """

    steps: int = DEFAULT_APGD_STEPS
    kind: ClassVar[str] = "apgd"
    engines: ClassVar[tuple[str, ...]] = ("native",)

    @property
    def method(self) -> Method:
        return self._method(APGDRule(self.steps))

    def _by_library(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        raise AssertionError(f"{self.kind} is our own engine's alone: `engines` lets no library be chosen")

    @property
    def label(self) -> str:
        return f"{self.kind}({', '.join([f'eps={format_number(self.eps)}', f'steps={self.steps}', *self._parts()])})"

    @property
    def request(self) -> str:
        return self._request(("steps", self.steps, DEFAULT_APGD_STEPS), *self._options(), below=self.ladder)


def check_whole(name: str, value: object, high: int) -> None:
    """Raises: RequestError: not a whole number from 1 to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
        raise RequestError(f"{name} must be a whole number from 1 to {high}, not {value!r}")
