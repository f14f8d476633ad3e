"""FGSM, L∞ PGD and Square as values; the engines carry them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustbench_zs.errors import RequestError, UnfinishedError
from robustbench_zs.perturbations import draws
from robustbench_zs.perturbations.base import Perturbation
from robustbench_zs.perturbations.engines import ENGINES, engine
from robustbench_zs.perturbations.numbers import format_number, parse_number

DEFAULT_SEED = 1
DEFAULT_STEPS = 10
DEFAULT_QUERIES = 1000
STEP_SIZE_PART = 4
"""By default a step of PGD is ε/4, torchattacks' choice at ε = 8/255."""

BALL_TOLERANCE = 1e-6
"""How far rounding may carry an example out of the ε-ball before it counts as an error of the engine."""


@dataclass(frozen=True)
class LinfAttack(Perturbation):
    """What the L∞ attacks share: the budget eps in (0, 1], a fraction of the pixel range, and the engine."""

    eps: float
    engine: str = "foolbox"
    attacks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "eps", parse_number(self.eps, "eps", 0, 1, open_low=True))
        if self.engine not in ENGINES:
            raise RequestError(f"the engine is one of {', '.join(ENGINES)}, not {self.engine[:40]!r}")

    def _request(self, *options: tuple[str, object, object]) -> str:
        """`attack --KIND --eps ε` and the options, each a name, a value and the default that need not be said."""
        said = [f"--{name} {value}" for name, value, default in options if value != default]
        kind = f"--{self.kind}" if self.kind in ("fgsm", "pgd") else f"--attack {self.kind}"
        return " ".join([f"attack {kind} --eps {format_number(self.eps)}", *said])

    def _verified(self, images: Tensor, adversarial: Tensor) -> Tensor:
        """The examples, clipped to the ball and to [0, 1].

        Raises:
            UnfinishedError: the engine left the ball by more than rounding.
        """
        # A non-finite pixel (NaN gradients of a diverged network) is no example: the clean image stands in for it.
        adversarial = torch.where(torch.isfinite(adversarial), adversarial, images)
        if float((adversarial - images).abs().max()) > self.eps + BALL_TOLERANCE:
            raise UnfinishedError(f"the engine {self.engine} returned images outside of the ball of {self.label}")
        return torch.minimum(torch.maximum(adversarial, images - self.eps), images + self.eps).clamp(0, 1)


@dataclass(frozen=True)
class FGSM(LinfAttack):
    """One step of size eps along the sign of the gradient (Goodfellow, Shlens, Szegedy 2014)."""

    kind: ClassVar[str] = "fgsm"

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        return self._verified(images, engine(self.engine).fgsm(network, images, labels, self.eps))

    @property
    def label(self) -> str:
        return f"fgsm(eps={format_number(self.eps)})"

    @property
    def request(self) -> str:
        return self._request(("engine", self.engine, "foolbox"))


@dataclass(frozen=True)
class PGD(LinfAttack):
    """Projected gradient descent from a random start in the ball (Madry et al. 2018); the last iterate counts.

    With `restarts` > 1 an image counts as fooled when any restart fools it. With the engine `foolbox` the random start
    belongs to the image; with `torchattacks` the library draws it, seeded by the seed and the first image of the batch, so
    there it depends on the batch size.
    """

    steps: int = DEFAULT_STEPS
    step_size: float | None = None
    restarts: int = 1
    seed: int = DEFAULT_SEED
    kind: ClassVar[str] = "pgd"

    def __post_init__(self) -> None:
        super().__post_init__()
        step_size = self.eps / STEP_SIZE_PART if self.step_size is None else self.step_size
        object.__setattr__(self, "step_size", parse_number(step_size, "step size", 0, 1, open_low=True))
        for name, high in (("steps", 100_000), ("restarts", 1000)):
            _check_whole(f"{name} of PGD", getattr(self, name), high)
        draws.checked_seed(self.seed)

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
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
        if self.restarts > 1:
            parts.append(f"restarts={self.restarts}")
        return f"pgd({', '.join(parts)})"

    @property
    def request(self) -> str:
        assert self.step_size is not None
        return self._request(
            ("steps", self.steps, None),
            ("step-size", format_number(self.step_size), format_number(self.eps / STEP_SIZE_PART)),
            ("restarts", self.restarts, 1),
            ("attack-seed", self.seed, DEFAULT_SEED),
            ("engine", self.engine, "foolbox"),
        )


@dataclass(frozen=True)
class Square(LinfAttack):
    """Random search with square-shaped changes on the margin (Andriushchenko et al. 2020); asks for logits, not gradients.

    Carried out by torchattacks alone, whose draws are seeded by the seed and the first image of the batch, so they depend on
    the batch size.
    """

    engine: str = "torchattacks"
    queries: int = DEFAULT_QUERIES
    seed: int = DEFAULT_SEED
    kind: ClassVar[str] = "square"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.engine != "torchattacks":
            raise RequestError(f"Square is carried out by the engine torchattacks, not by {self.engine}")
        _check_whole("queries of Square", self.queries, 1_000_000)
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


def _check_whole(name: str, value: object, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
        raise RequestError(f"{name} must be a whole number from 1 to {high}, not {value!r}")
