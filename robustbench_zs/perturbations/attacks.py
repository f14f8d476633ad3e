"""What attacks share: the ball that an example lies in, and the engine that runs the attack.

Attacks are values and import no torch; an engine is imported when it is first used.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from robustbench_zs.errors import UnfinishedError
from robustbench_zs.perturbations.base import Directions, Perturbation
from robustbench_zs.perturbations.engines import ENGINES
from robustbench_zs.perturbations.numbers import parse_number
from robustbench_zs.perturbations.parameters import Meaning
from robustbench_zs.system.python_numbers import MAX_SEED

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robustbench_zs.perturbations.native import Found, Images, Method

DEFAULT_ENGINE = "native"
DEFAULT_SEED = 1

BALL_TOLERANCE = 1e-6
"""How far rounding may carry an example out of the ε-ball before it counts as an error of the engine."""

MAX_EPS = {"linf": 1.0, "l2": 1000.0}

Budget = Annotated[
    float,
    Meaning(
        'Budget as a fraction of the pixel range, such as "8/255"; several ε of an iterated attack form a ladder.',
        0,
        max(MAX_EPS.values()),
        above=True,
        several=True,
    ),
]
Ball = Annotated[str, Meaning("Norm of the ball.", choices=tuple(MAX_EPS))]
AttackSeed = Annotated[int, Meaning("Seed of the random draws.", 0, MAX_SEED, shown=False, option="attack-seed")]


def carried_out_by(*engines: str) -> Meaning:
    """The meaning of a field that names an engine."""
    return Meaning("Implementation that runs the attack.", choices=engines, shown=False)


@dataclass(frozen=True)
class Attack(Perturbation):
    """What attacks share: the budget `eps` above 0, as a fraction of the pixel range, and the engine.

    For L∞ a budget is at most 1; an L2 budget is the Euclidean length of the change.
    """

    eps: Budget
    engine: Annotated[str, carried_out_by(*ENGINES)] = DEFAULT_ENGINE
    attacks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_length("eps", self.eps)

    def _check_length(self, name: str, length: float) -> float:
        return parse_number(length, name, 0, MAX_EPS[self.ball], open_low=True)

    @property
    def ball(self) -> str:
        """The norm of the ball, `linf` or `l2`."""
        return getattr(self, "norm", "linf")

    @property
    def prior(self) -> tuple[Attack, ...]:
        """Attacks that run before this one: an image that one of them fools counts as fooled here."""
        return ()

    def verified(self, images: Tensor, adversarial: Tensor) -> Tensor:
        """The examples, clipped to the ball and to [0, 1].

        Raises:
            UnfinishedError: the engine left the ball by more than rounding.
        """
        import torch

        from robustbench_zs.perturbations.native import NORMS

        norm = NORMS[self.ball]
        # A non-finite pixel (NaN gradients of a diverged network) is no example: the clean image stands in for it.
        adversarial = torch.where(torch.isfinite(adversarial), adversarial, images)
        if float(norm.distance(adversarial, images).max()) > self.eps * (1 + BALL_TOLERANCE) + BALL_TOLERANCE:
            raise UnfinishedError(f"the engine {self.engine} returned images outside the ball of {self.label}")
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
    """An attack that our own engine can run; all but Square follow gradients."""

    @property
    @abstractmethod
    def methods(self) -> tuple[Method, ...]:
        """The methods by which our own engine runs it, one after another, each on the images that still stand."""

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
        """Attack images with our own engine, see `native.Search`.

        Raises:
            RequestError: the loss needs more classes.
        """
        from robustbench_zs.perturbations.native import ChosenImages, Ladder, search_in_turn

        return search_in_turn(
            network,
            ChosenImages(data, chosen, numbers),
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
        return self.verified(images, found.examples)

    @property
    def directions_or_none(self) -> Directions | None:
        followed = [method.directions for method in self.methods if method.rule.gradients]
        return followed[0] if followed and self.engine == "native" else None

    def _by_library(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        """The examples that a library finds; an attack whose `engine` can be a library overrides this."""
        raise NotImplementedError(f"no library runs {self.kind}")  # not reached: native attacks refuse other engines
