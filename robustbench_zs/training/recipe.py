"""Recipes: how a network is trained, as a value."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from robustbench_zs.errors import RequestError
from robustbench_zs.system.python_numbers import take_python_numbers

if TYPE_CHECKING:
    import pandas as pd

Augmentation = Literal["none", "crop-flip", "resized-crop-flip"]
Schedule = Literal["step", "cosine", "one-cycle"]
Weights = Literal["last", "best"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Recipe:
    """SGD with momentum (§5.6 of the paper); everything that decides the weights but data and seed.

    Args:
        epochs: passes over the training images.
        batch_size: images per step, over all replicas.
        learning_rate: at the start, or after the warm-up.
        momentum, weight_decay: of SGD; the decay applies to every parameter.
        augmentation: `"crop-flip"` (crop after padding by 4 pixels, horizontal flip), `"resized-crop-flip"` (a random part
            of 8 to 100% of the area, brought to the image size, horizontal flip; ImageNet's) or `"none"`.
        schedule: `"step"` divides the rate by 10 at half and at three quarters of the epochs; `"cosine"` lets it fall along
            half a cosine period towards 0, epoch by epoch; `"one-cycle"` does so step by step, its warm-up too, as short
            trainings need it (after Smith & Topin 2019, without their cycle of the momentum).
        warmup_epochs: epochs in which the rate rises linearly to `learning_rate` first.
        weights: `"last"` keeps the weights of the last epoch; `"best"` those of the epoch with the best test accuracy, as
            the paper's published code reports it. That chooses on the test set, so such accuracies are too high.
        replicas: shares that the images of a step are dealt to. Each share has batch-norm statistics of its own and the
            gradients are averaged, as in data-parallel training, whether one process works through the shares or several
            do (`training.distributed`).
        precision: `"bfloat16"` computes convolutions and matrix products in bfloat16 (autocast), the rest in float32;
            `"auto"` is bfloat16 on CUDA devices and float32 on others, see `for_device`.

    Raises:
        RequestError: a value out of range.

    Examples:
        >>> recipe = zs.Recipe(epochs=20, learning_rate=0.05, schedule="cosine", warmup_epochs=2)
        >>> recipe.with_changes(epochs=40).epochs
        40
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    augmentation: Augmentation = "none"
    schedule: Schedule = "step"
    warmup_epochs: int = 0
    weights: Weights = "last"
    replicas: int = 1
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        take_python_numbers(self)
        for name, low, high in (
            ("epochs", 1, 100_000),
            ("batch_size", 1, 1_000_000),
            ("learning_rate", 0, 1e6),
            ("momentum", 0, 1),
            ("weight_decay", 0, 1e6),
            ("warmup_epochs", 0, 100_000),
            ("replicas", 1, self.batch_size),
        ):
            value = getattr(self, name)
            if not low <= value <= high:  # NaN is not either
                raise RequestError(f"{name} must lie between {low} and {high:g}, not {value!r}")
            whole = name in ("epochs", "batch_size", "warmup_epochs", "replicas")
            if whole and (isinstance(value, bool) or not isinstance(value, int)):
                raise RequestError(f"{name} must be a whole number, not {value!r}")
        choices_of = {"augmentation": Augmentation, "schedule": Schedule, "weights": Weights, "precision": Precision}
        for name, choices in choices_of.items():
            if getattr(self, name) not in get_args(choices):
                raise RequestError(f"{name} must be one of {', '.join(get_args(choices))}, not {getattr(self, name)!r}")

    def learning_rates(self, epoch: int, steps: int) -> list[float]:
        """Learning rate of each of the `steps` steps of epoch 0 … epochs − 1."""
        if self.schedule != "one-cycle":
            return [self._rate_of_epoch(epoch)] * steps
        return [self._one_cycle(epoch + (step + 0.5) / steps) for step in range(steps)]

    def _one_cycle(self, time: float) -> float:
        """The rate at a time in epochs: up along a line, down along half a cosine period to 0 at the end."""
        if time < self.warmup_epochs:
            return self.learning_rate * time / self.warmup_epochs
        part = (time - self.warmup_epochs) / (self.epochs - self.warmup_epochs)
        return self.learning_rate * (1 + math.cos(math.pi * part)) / 2

    def _rate_of_epoch(self, epoch: int) -> float:
        if epoch < self.warmup_epochs:
            return self.learning_rate * (epoch + 1) / self.warmup_epochs
        if self.schedule == "cosine":
            part = (epoch - self.warmup_epochs) / (self.epochs - self.warmup_epochs)
            return self.learning_rate * (1 + math.cos(math.pi * part)) / 2
        passed = sum(epoch >= self.epochs * part for part in (0.5, 0.75))
        return self.learning_rate * 0.1**passed

    def with_changes(self, **changes: Any) -> Recipe:
        """The recipe with those of `changes` that are not None."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def for_device(self, device: str) -> Recipe:
        """The recipe as it is carried out on `device`: it says which precision."""
        if self.precision != "auto":
            return self
        return replace(self, precision="bfloat16" if device.startswith("cuda") else "float32")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


_IMAGENET = Recipe(
    epochs=150,
    batch_size=1024,
    learning_rate=0.2,
    weight_decay=4e-5,
    augmentation="resized-crop-flip",
    schedule="cosine",
    warmup_epochs=5,
    replicas=8,
    precision="bfloat16",
)

RECIPES: dict[str, Recipe] = {
    "digits": Recipe(epochs=20, batch_size=32, precision="float32"),
    "mnist": Recipe(epochs=20),
    "cifar10": Recipe(epochs=160, augmentation="crop-flip"),
    "cifar10-short": Recipe(
        epochs=18,
        learning_rate=0.3,
        augmentation="crop-flip",
        schedule="one-cycle",
        warmup_epochs=2,
        precision="bfloat16",
    ),
    "cifar100": Recipe(epochs=300, augmentation="crop-flip"),
    "cifar-gap": Recipe(epochs=500, augmentation="crop-flip"),
    "cifar10-code": Recipe(epochs=160, weight_decay=5e-4, augmentation="crop-flip", weights="best"),
    "cifar100-code": Recipe(epochs=300, weight_decay=5e-4, augmentation="crop-flip", weights="best"),
    "imagenet18": _IMAGENET,
    "imagenet34": replace(_IMAGENET, batch_size=512, learning_rate=0.1),
    "imagenet50": replace(_IMAGENET, batch_size=256, learning_rate=0.05),
}
"""By name. `cifar10`, `cifar100` and `cifar-gap` (Table 7) are as the paper states (§5.4, §5.6); the `-code` ones are as
its published code does it: weight decay 5e-4, and the best test accuracy over epochs. `cifar10-short` is for CPUs:
optimizer, augmentation and batch of `cifar10`, but 18 epochs of one cycle in bfloat16 (benchmarks/zoo/README.md says how
it was chosen). The ImageNet ones are for 18, 34 and 50 layers (§5.6): the paper's batches of 128, 64 and 32 are taken as
those of each of its 8 GPUs, since it chose them by the memory of a GPU; where it trained in float16 with NVIDIA's apex,
they use bfloat16, which needs no loss scaling."""


def recipe_for(dataset: str) -> Recipe:
    """The recipe of a dataset: ImageNet's for 18 layers; for Fashion-MNIST and data of the user's own that of MNIST."""
    return RECIPES.get("imagenet18" if dataset == "imagenet" else dataset, RECIPES["mnist"])


def recipe_from_name(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        RequestError: there is no such recipe.

    Examples:
        >>> zs.recipe_from_name("cifar10").epochs
        160
    """
    if name not in RECIPES:
        raise RequestError(f"there is no recipe {name[:80]!r}: choose from {', '.join(RECIPES)}")
    return RECIPES[name]


def recipe_table(recipe: Recipe) -> pd.DataFrame:
    """A recipe in full, one row per setting: `setting`, `value`; what every recipe has in common stands first."""
    import pandas as pd

    common = {"optimizer": "SGD", "loss": "cross-entropy", "initialization": "He-normal, fan-out"}
    settings = {**common, **recipe.as_dict()}
    return pd.DataFrame({"setting": list(settings), "value": pd.Series(list(settings.values()), dtype=object)})
