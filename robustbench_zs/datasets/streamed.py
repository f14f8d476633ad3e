"""Class folders with images of any size, decoded when they are used: ImageNet and sets like it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from robustbench_zs.datasets.decode import FORMATS, eight_bits
from robustbench_zs.datasets.folders import image_files, interleaved
from robustbench_zs.datasets.images import Statistics
from robustbench_zs.errors import RequestError

IMAGENET_SIZE = 224
RESIZE = 256 / 224
"""Shorter side after resizing, before the center crop, relative to the crop (He et al. 2016a; the paper's single crop)."""

IMAGENET_STATISTICS: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's channels, as torchvision's models use them."""

STATISTICS_IMAGES = 2000
MAX_IMAGE = 2**26
"""Pixels; as many threads as there are cores decode images side by side."""

HASHED_BYTES = 2**30
"""Files that are larger in all than this are known by name and size: reading ImageNet's 150 GB takes minutes."""


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """N image files and labels; handed out as float32 in [0, 1], 3×`image_size`×`image_size`.

    Args:
        root: folder that `paths` are relative to.
        labels: int64, N.
        classes: number of classes.
        image_size: side of the square that is cut from the middle after resizing.
        statistics: of the channels, if they are known.
    """

    root: Path
    paths: tuple[str, ...]
    labels: Tensor
    classes: int
    image_size: int
    statistics: Statistics | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return 3, self.image_size, self.image_size

    def images(self, indices: Tensor | slice | None = None) -> Tensor:
        """The center crops at `indices` (all by default) as float32 in [0, 1], N×3×H×W.

        Raises:
            RequestError: a file that is no image.
        """
        chosen = torch.arange(len(self))[slice(None) if indices is None else indices].tolist()
        with ThreadPoolExecutor(os.cpu_count()) as threads:  # decoding releases Python's lock
            return torch.stack(list(threads.map(self.center_crop, chosen)))

    def center_crop(self, index: int) -> Tensor:
        """One image as the test sees it, float32 in [0, 1], 3×H×W."""
        from torchvision.transforms.v2 import functional as v2

        image = v2.resize(self._open(index), [round(self.image_size * RESIZE)])
        return _pixels(v2.center_crop(image, [self.image_size, self.image_size]))

    def random_resized_crop(self, index: int, generator: Generator) -> Tensor:
        """8 to 100% of the area at an aspect ratio of 3/4 to 4/3, brought to the image size, mirrored or not."""
        from torchvision.transforms.v2 import RandomResizedCrop
        from torchvision.transforms.v2 import functional as v2

        image = self._open(index)
        with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator only
            torch.default_generator.set_state(generator.get_state())
            crop = RandomResizedCrop(self.image_size)(image)
            mirror = bool(torch.rand(()) < 0.5)
        return _pixels(v2.horizontal_flip(crop) if mirror else crop)

    def _open(self, index: int) -> Any:
        from PIL import Image

        path = self.root / self.paths[index]
        try:
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MAX_IMAGE:
                    raise RequestError(f"{path} is {image.width}×{image.height}; at most {MAX_IMAGE} pixels are read")
                return eight_bits(image, str(path)).convert("RGB")
        except RequestError:
            raise
        except Exception as error:
            raise RequestError(f"{path} is not an image that can be read ({type(error).__name__})") from error

    def first(self, n: int | None) -> ImageFiles:
        """The first n images; all for None.

        Raises:
            RequestError: n is not between 1 and the number of images.
        """
        if n is None or n == len(self):
            return self
        if not 1 <= n <= len(self):
            raise RequestError(f"the number of images must lie between 1 and {len(self)}, the size of the split, not {n}")
        return replace(self, paths=self.paths[:n], labels=self.labels[:n])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of image size, names and labels, and of the files' bytes, or sizes where they are over 1 GiB in all."""
        sizes = [(self.root / path).stat().st_size for path in self.paths]
        sha = hashlib.sha256(f"{self.shape} {self.classes}".encode())
        hashed = sum(sizes) <= HASHED_BYTES
        for path, size, label in zip(self.paths, sizes, self.labels.tolist(), strict=True):
            sha.update(f"\0{path}\0{size} {label}".encode())
            if hashed:
                sha.update((self.root / path).read_bytes())
        return sha.hexdigest()

    def channel_statistics(self) -> Statistics:
        """Those given, else mean and standard deviation per channel over 2,000 evenly spaced center crops at most."""
        if self.statistics is not None:
            return self.statistics
        chosen = np.unique(np.linspace(0, len(self) - 1, min(len(self), STATISTICS_IMAGES)).astype(int))
        pixels = self.images(torch.from_numpy(chosen)).double().transpose(0, 1).flatten(1)
        return tuple(pixels.mean(1).tolist()), tuple(s or 1.0 for s in pixels.std(1, correction=0).tolist())


def _pixels(image: Any) -> Tensor:
    from torchvision.transforms.v2 import functional as v2

    pixels: Tensor = v2.pil_to_tensor(image)
    return pixels.to(torch.float32) / 255


def list_image_files(
    folder: Path, classes: Sequence[str], image_size: int, statistics: Statistics | None = None
) -> ImageFiles:
    """All images below `folder`/CLASS in the order of torchvision's ImageFolder, interleaved by class.

    Raises:
        RequestError: a class without images.
    """
    by_class: list[list[str]] = []
    for name in classes:
        found = sorted(image_files(folder / name), key=lambda path: (str(path.parent), path.name))
        if not found:
            raise RequestError(f"the class folder {folder / name} contains no image")
        by_class.append([str(path.relative_to(folder)) for path in found])
    order = interleaved(by_class)
    return ImageFiles(
        folder, tuple(path for _, path in order), torch.tensor([c for c, _ in order]), len(classes), image_size, statistics
    )
