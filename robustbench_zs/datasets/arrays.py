"""Datasets made of images and labels in memory: NumPy arrays, tensors, or whatever NumPy can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robustbench_zs.datasets.images import Dataset, LabelledImages
from robustbench_zs.errors import RequestError

DEFAULT_NAME = "arrays"


def dataset_of_arrays(images: Any, labels: Any, name: str = DEFAULT_NAME) -> Dataset:
    """A dataset whose test images are those given; it has no training images.

    Args:
        images: N×C×H×W, or N×H×W where they are grey; uint8, or floating-point numbers in [0, 1].
        labels: N whole numbers, from 0.
        name: as in results.

    Raises:
        RequestError: the shape, the type or a value is not allowed, or there are not as many labels as images.

    Examples:
        >>> images, labels = torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> len(zs.dataset_of_arrays(images, labels).test)
        6
    """
    pixels, numbers = _tensor(images, "images"), _tensor(labels, "labels")
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels
    if pixels.ndim == 4 and pixels.shape[3] in (1, 3) and pixels.shape[1] not in (1, 3):
        raise RequestError(
            f"images must be N×C×H×W, not {'×'.join(map(str, pixels.shape))}: move the channels to the front with "
            "images.transpose(0, 3, 1, 2)"
        )
    classes = max(1, int(numbers.max()) + 1) if numbers.ndim == 1 and len(numbers) and not numbers.is_floating_point() else 1
    split = LabelledImages(pixels, numbers, classes)
    return Dataset(name, split.classes, _Given(split), more_classes=True)


@dataclass(frozen=True)
class _Given:
    """Picklable, since worker processes get it."""

    test: LabelledImages

    def __call__(self, split: str) -> LabelledImages:
        if split != "test":
            raise RequestError("images and labels given as arrays are test images, so there are no training images")
        return self.test


def _tensor(values: Any, what: str) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().cpu()
    try:
        return torch.from_numpy(np.ascontiguousarray(values).copy())
    except (TypeError, ValueError) as error:
        raise RequestError(f"the {what} must be an array of numbers: {str(error)[:100]}") from error
