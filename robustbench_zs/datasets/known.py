"""The datasets that have a name: what is known of each before it is loaded, and what loads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from robustbench_zs.datasets.digits import TEST_IMAGES, load_digits
from robustbench_zs.datasets.download import load_with_torchvision
from robustbench_zs.datasets.images import Dataset


@dataclass(frozen=True)
class DatasetFacts:
    """What is known of a dataset.

    Args:
        load: gives it from its folder, DIR/NAME; None where it comes as class folders. Parquet files there go first.
        shape: channels, height and width of an image; None where images are resized.
        classes: number of classes.
        examples: number of images in each split, so that what asks for more is refused before anything is loaded.
        eps: L∞ budget of an attack where none is given.
        max_eps: largest ε of a curve of robust accuracy where none is given.
    """

    load: Callable[[Path], Dataset] | None
    shape: tuple[int, int, int] | None
    classes: int
    examples: dict[str, int]
    eps: str = "8/255"
    max_eps: str = "16/255"


def _from_torchvision(name: str, shape: tuple[int, int, int], classes: int, train: int, *eps: str) -> DatasetFacts:
    return DatasetFacts(partial(load_with_torchvision, name), shape, classes, {"train": train, "test": 10_000}, *eps)


EMBEDDED = "digits"
"""The dataset that comes with scikit-learn, for which no folder is searched."""

KNOWN: dict[str, DatasetFacts] = {
    EMBEDDED: DatasetFacts(lambda folder: load_digits(), (1, 8, 8), 10, {"train": 1437, "test": TEST_IMAGES}, "0.1", "0.3"),
    "mnist": _from_torchvision("mnist", (1, 28, 28), 10, 60_000, "0.3", "0.5"),
    "fashion-mnist": _from_torchvision("fashion-mnist", (1, 28, 28), 10, 60_000, "0.3", "0.5"),
    "cifar10": _from_torchvision("cifar10", (3, 32, 32), 10, 50_000),
    "cifar100": _from_torchvision("cifar100", (3, 32, 32), 100, 50_000),
    "imagenet": DatasetFacts(None, None, 1000, {"train": 1_281_167, "test": 50_000}),
}

OTHER = DatasetFacts(None, None, 0, {})
"""What is assumed of a dataset of the user's own."""
