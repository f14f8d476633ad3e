"""How a network is trained, as a value."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from robustbench_zs.errors import RequestError

Augmentation = Literal["none", "crop-flip"]


@dataclass(frozen=True)
class Recipe:
    """SGD with momentum and step decay (§5.6 of the paper); everything that decides the weights but data and seed.

    Args:
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: at the start; divided by 10 at half and at three quarters of the epochs.
        momentum, weight_decay: of SGD; the decay applies to every parameter.
        augmentation: `"crop-flip"` (crop after padding by 4 pixels, horizontal flip) or `"none"`.

    Raises:
        RequestError: a value out of range.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    augmentation: Augmentation = "none"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("epochs", 1, 100_000),
            ("batch_size", 1, 1_000_000),
            ("learning_rate", 0, 1e6),
            ("momentum", 0, 1),
            ("weight_decay", 0, 1e6),
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise RequestError(f"{name} must lie between {low} and {high:g}, not {value!r}")
            if name in ("epochs", "batch_size") and (isinstance(value, bool) or not isinstance(value, int)):
                raise RequestError(f"{name} must be a whole number, not {value!r}")
        if self.augmentation not in get_args(Augmentation):
            raise RequestError(f"augmentation is one of {', '.join(get_args(Augmentation))}, not {self.augmentation!r}")

    def learning_rate_at(self, epoch: int) -> float:
        """Learning rate of epoch 0 … epochs − 1."""
        passed = sum(epoch >= self.epochs * part for part in (0.5, 0.75))
        return self.learning_rate * 0.1**passed

    def with_changes(self, **changes: Any) -> Recipe:
        """The recipe with those of `changes` that are not None."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


RECIPES: dict[str, Recipe] = {
    "digits": Recipe(epochs=20, batch_size=32),
    "mnist": Recipe(epochs=20),
    "cifar10": Recipe(epochs=160, augmentation="crop-flip"),
    "cifar100": Recipe(epochs=300, augmentation="crop-flip"),
}
"""By name; the CIFAR recipes are the paper's (§5.6)."""


def recipe_for(dataset: str) -> Recipe:
    """The recipe of a dataset of that name, that of `mnist` for Fashion-MNIST and data of the user's own."""
    return RECIPES.get(dataset, RECIPES["mnist"])


def recipe_from_name(name: str) -> Recipe:
    """Raises: RequestError: there is no such recipe."""
    if name not in RECIPES:
        raise RequestError(f"there is no recipe {name[:80]!r}; allowed are {', '.join(RECIPES)}")
    return RECIPES[name]
