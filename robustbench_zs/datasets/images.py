"""Labelled images in memory, and what every split of a dataset offers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from robustbench_zs.errors import RequestError

MAX_CLASSES = 100_000

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation per channel, on the [0, 1] scale."""


class Split(Protocol):
    """Labelled images, in memory or on disk; labels are int64 in 0 … classes − 1."""

    @property
    def labels(self) -> Tensor: ...

    @property
    def classes(self) -> int: ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""

    @property
    def digest(self) -> str:
        """Two splits with one digest give the same results."""

    def __len__(self) -> int: ...

    def images(self, indices: Tensor | slice | None = None) -> Tensor:
        """The images at `indices` (all by default) as float32 in [0, 1], N×C×H×W."""

    def first(self, n: int | None) -> Split:
        """The first n images; all for None."""

    def channel_statistics(self) -> Statistics:
        """Mean and standard deviation per channel."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """N images and labels; kept as the numbers they were stored as, handed out as float32 in [0, 1].

    Args:
        pixels: N×C×H×W, uint8, or floating-point numbers in [0, 1], which are kept as float32.
        labels: N whole numbers of any type, each in 0 … classes − 1; kept as int64.
        classes: number of classes.
        levels: the integer that means white, 255 for most images, 16 for `digits`; 1 where pixels are floats.

    Raises:
        RequestError: another type or shape, a value out of range.

    Examples:
        >>> pixels = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
        >>> data = zs.LabelledImages(pixels, torch.tensor([0, 1, 0, 1]), classes=2)
        >>> data.images().shape, data.images().dtype
        (torch.Size([4, 1, 8, 8]), torch.float32)
    """

    pixels: Tensor
    labels: Tensor
    classes: int
    levels: int = 255

    def __post_init__(self) -> None:
        if self.labels.ndim != 1 or self.labels.is_floating_point() or self.labels.dtype == torch.bool:
            raise RequestError(
                f"labels must be whole numbers, one per image, not {_kind(self.labels)}: turn one-hot labels into whole "
                "numbers with argmax(1)"
            )
        object.__setattr__(self, "labels", self.labels.long())
        if self.pixels.is_floating_point():
            object.__setattr__(self, "pixels", self.pixels.float())
            object.__setattr__(self, "levels", 1)
        if self.pixels.dtype not in (torch.uint8, torch.float32) or self.pixels.ndim != 4:
            raise RequestError(f"images must be uint8, or floats in [0, 1], of shape N×C×H×W, not {_kind(self.pixels)}")
        if len(self.pixels) != len(self.labels):
            raise RequestError(f"there are {len(self.pixels)} images but {len(self.labels)} labels")
        if len(self) == 0:
            raise RequestError("the split contains no image")
        if not 1 <= self.classes <= MAX_CLASSES:
            raise RequestError(f"a dataset has 1 to {MAX_CLASSES} classes, not {self.classes}")
        if not 0 <= int(self.labels.min()) <= int(self.labels.max()) < self.classes:
            raise RequestError(
                f"labels must lie between 0 and {self.classes - 1}, not between {int(self.labels.min())} and "
                f"{int(self.labels.max())}"
            )
        if self.pixels.is_floating_point() and not bool(((self.pixels >= 0) & (self.pixels <= 1)).all()):
            raise RequestError(
                f"floating-point images must lie in [0, 1], not between {float(self.pixels.min()):g} and "
                f"{float(self.pixels.max()):g}: divide by 255, or make the normalization a part of the network"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    def images(self, indices: Tensor | slice | None = None) -> Tensor:
        """The images at `indices` (all by default) as float32 in [0, 1], N×C×H×W."""
        pixels = self.pixels if indices is None else self.pixels[indices]
        return pixels.to(torch.float32) / self.levels

    def first(self, n: int | None) -> LabelledImages:
        """The first n images; all for None.

        Raises:
            RequestError: n is not between 1 and the number of images.
        """
        if n is None or n == len(self):
            return self
        if not 1 <= n <= len(self):
            raise RequestError(f"the number of images must lie between 1 and {len(self)}, the size of the split, not {n}")
        return LabelledImages(self.pixels[:n], self.labels[:n], self.classes, self.levels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of pixels, labels and their meaning: two splits with one digest give the same results."""
        sha = hashlib.sha256(f"{tuple(self.pixels.shape)} {self.classes} {self.levels}".encode())
        sha.update(np.ascontiguousarray(self.pixels.numpy()).data)
        sha.update(np.ascontiguousarray(self.labels.numpy()).data)
        return sha.hexdigest()

    def channel_statistics(self) -> Statistics:
        """Mean and standard deviation per channel over all pixels, on the [0, 1] scale; a constant channel has std 1."""
        means, stds = [], []
        if self.pixels.is_floating_point():
            values = self.pixels.double().transpose(0, 1).flatten(1)
            return tuple(values.mean(1).tolist()), tuple(s or 1.0 for s in values.std(1, correction=0).tolist())
        for channel in range(self.pixels.shape[1]):
            # From the histogram of the integer levels: exact, the same on every machine, and in little memory.
            counts = torch.bincount(self.pixels[:, channel].reshape(-1).long(), minlength=256).double()
            values = torch.arange(len(counts), dtype=torch.float64) / self.levels
            mean = float((counts * values).sum() / counts.sum())
            variance = float((counts * (values - mean) ** 2).sum() / counts.sum())
            means.append(mean)
            stds.append(variance**0.5 or 1.0)
        return tuple(means), tuple(stds)


def _kind(values: Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} of shape {'×'.join(map(str, values.shape)) or '()'}"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test split of one name, each read when it is first used.

    Args:
        name: as in results.
        classes: number of classes of both splits.
        load_split: `"train"` or `"test"` → its images; may raise `RequestError`.
        class_names: where the source gives them.
        more_classes: the labels may be of a part of the classes only, so a network may have more of them.

    Examples:
        >>> digits = zs.load_dataset("digits")
        >>> digits.name, digits.classes, len(digits.train), len(digits.test)
        ('digits', 10, 1437, 360)
    """

    name: str
    classes: int
    load_split: Callable[[str], Split]
    class_names: tuple[str, ...] | None = None
    more_classes: bool = False

    def has_classes(self, classes: int | None) -> bool:
        """Whether a network with that number of classes fits the dataset."""
        return classes == self.classes or (self.more_classes and classes is not None and classes > self.classes)

    def limited(self, train_examples: int | None, test_examples: int | None) -> Dataset:
        """The dataset with only the first images of each split; None keeps all."""
        limits, full = {"train": train_examples, "test": test_examples}, self.load_split
        return replace(self, load_split=lambda split: full(split).first(limits[split]))

    @cached_property
    def train(self) -> Split:
        return self.load_split("train")

    @cached_property
    def test(self) -> Split:
        return self.load_split("test")

    def split(self, name: str) -> Split:
        """`"train"` or `"test"`.

        Raises:
            RequestError: another name, or images that cannot be read.
        """
        if name not in ("train", "test"):
            raise RequestError(f"the split must be 'train' or 'test', not {name[:40]!r}")
        return self.train if name == "train" else self.test
