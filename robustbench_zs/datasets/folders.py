"""A dataset of the user's own as class folders: `train/CLASS/*.png` and `test/CLASS/*.png`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch

from robustbench_zs.datasets.decode import decode_images
from robustbench_zs.datasets.images import LabelledImages
from robustbench_zs.errors import RequestError

Item = TypeVar("Item")

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff"}


def class_folders(folder: Path) -> tuple[str, ...]:
    """Names of the subfolders in alphabetical order, which is the order of the labels (as torchvision's ImageFolder)."""
    return tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))


def read_class_folders(folder: Path, classes: tuple[str, ...]) -> LabelledImages:
    """All images below `folder`/CLASS, interleaved by class, so that a prefix holds every class.

    Raises:
        RequestError: a class without images, or an image that cannot be read or differs in size.
    """
    by_class = [sorted(p for p in (folder / c).rglob("*") if p.suffix.lower() in SUFFIXES) for c in classes]
    for name, paths in zip(classes, by_class, strict=True):
        if not paths:
            raise RequestError(f"the class folder {folder / name} holds no image")
    order = interleaved(by_class)
    pixels = decode_images((str(path), path.read_bytes()) for _, path in order)
    return LabelledImages(pixels, torch.tensor([label for label, _ in order]), len(classes))


def interleaved(by_class: Sequence[Sequence[Item]]) -> list[tuple[int, Item]]:
    """Pairs of label and item in an order in which every prefix has the classes in proportion."""
    # Position i of n within its class, as a fraction, orders the items.
    order = sorted(((i + 0.5) / len(items), label, i) for label, items in enumerate(by_class) for i in range(len(items)))
    return [(label, by_class[label][i]) for _, label, i in order]
