"""A dataset of the user's own as class folders: `train/CLASS/*.png` and `test/CLASS/*.png`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar
from warnings import warn

import torch

from robustbench_zs.datasets.decode import MAX_FILE_BYTES, decode_images
from robustbench_zs.datasets.images import LabelledImages
from robustbench_zs.errors import RequestError, ZsbenchWarning

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
    by_class = [sorted(image_files(folder / c)) for c in classes]
    for name, paths in zip(classes, by_class, strict=True):
        if not paths:
            raise RequestError(f"the class folder {folder / name} contains no image")
    order = interleaved(by_class)
    pixels = decode_images((str(path), _bytes(path)) for _, path in order)
    return LabelledImages(pixels, torch.tensor([label for label, _ in order]), len(classes))


def image_files(folder: Path) -> Iterator[Path]:
    """The image files in a folder and below it, through links too, each folder once; no pipes and no devices.

    Hidden ones (`.ipynb_checkpoints`, the `._x.png` of macOS) are passed over, with a warning that says how many.
    """
    seen: set[str] = set()
    hidden = 0
    for root, below, _ in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:  # links that lead back up
            below.clear()
            continue
        seen.add(real)
        hidden += sum(name.startswith(".") for name in below)
        below[:] = sorted(name for name in below if not name.startswith("."))
        with os.scandir(root) as entries:  # which knows regular files without asking the disk for each of a million
            for entry in entries:
                if os.path.splitext(entry.name)[1].lower() in SUFFIXES and entry.is_file():
                    if not entry.name.startswith("."):
                        yield Path(entry.path)
                    else:
                        hidden += 1
    if hidden:
        warn(f"{folder}: {hidden} hidden files or folders were ignored", ZsbenchWarning, stacklevel=2)


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)  # one more than is decoded


def interleaved(by_class: Sequence[Sequence[Item]]) -> list[tuple[int, Item]]:
    """Pairs of label and item in an order in which every prefix has the classes in proportion."""
    # Position i of n within its class, as a fraction, orders the items.
    order = sorted(((i + 0.5) / len(items), label, i) for label, items in enumerate(by_class) for i in range(len(items)))
    return [(label, by_class[label][i]) for _, label, i in order]
