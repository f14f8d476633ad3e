"""Where the images of a training step come from: one tensor on the device, or files that worker processes decode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from robustbench_zs.datasets import LabelledImages, Split
from robustbench_zs.datasets.streamed import ImageFiles
from robustbench_zs.errors import RequestError
from robustbench_zs.training.augmentation import CropsAndFlips, crop_and_flip
from robustbench_zs.training.recipe import Augmentation
from robustbench_zs.training.streams import stream

Share = tuple[Tensor, Tensor]
"""Images, float32 N×C×H×W, and labels, both on the device."""


class MemoryFeed:
    """All images as one tensor on the device; augmentation as batched tensor functions."""

    def __init__(self, data: LabelledImages, augmentation: Augmentation, seed: int, device: torch.device) -> None:
        self.pixels, self.labels = data.pixels.to(device), data.labels.to(device)
        self.levels = data.levels
        self.augmentation = augmentation
        self.generator = stream(seed, "augmentation")

    def shares(self, epoch: int, steps: Sequence[Tensor], replicas: int, own: range) -> Iterator[list[Share]]:
        """For each step the shares in `own`, of the `replicas` ones that its images are dealt to.

        Random numbers are drawn for the whole step, so that an image looks the same whoever gets it.
        """
        for step in steps:
            index, draws = self.planned(step)
            made, start = [], 0
            for number, part in enumerate(index.to(self.pixels.device).tensor_split(replicas)):
                if number in own:
                    made.append(self.share(part, draws and draws.of(slice(start, start + len(part)))))
                start += len(part)
            yield made

    def planned(self, step: Tensor) -> tuple[Tensor, CropsAndFlips | None]:
        """The images of a step, and what happens to each; random numbers are drawn in the order of the calls."""
        return step, CropsAndFlips.draw(len(step), self.generator) if self.augmentation == "crop-flip" else None

    def share(self, index: Tensor, draws: CropsAndFlips | None) -> Share:
        """Those images as the training sees them."""
        images = self.pixels[index].to(torch.float32) / self.levels
        return images if draws is None else crop_and_flip(images, draws), self.labels[index]


class FileFeed:
    """Images decoded by worker processes; an image's random numbers depend on seed, epoch and image alone."""

    def __init__(
        self, data: ImageFiles, augmentation: Augmentation, seed: int, device: torch.device, workers: int = 0
    ) -> None:
        if augmentation == "crop-flip":
            raise RequestError(
                f"images that are read from files can be augmented by 'resized-crop-flip' or 'none', not {augmentation!r}"
            )
        self.device = device
        self.generator: Generator | None = None
        self.order: list[list[tuple[int, int]]] = []
        self.loader: DataLoader[Any] = DataLoader(
            _Augmented(data, augmentation, seed),
            batch_sampler=self.order,  # refilled for every epoch; the workers stay
            num_workers=workers,
            generator=Generator(),  # not the global one, which belongs to the user
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
        )

    def shares(self, epoch: int, steps: Sequence[Tensor], replicas: int, own: range) -> Iterator[list[Share]]:
        """As `MemoryFeed.shares`."""
        dealt = [[part.tolist() for part in step.tensor_split(replicas)[own.start : own.stop]] for step in steps]
        self.order[:] = [[(epoch, index) for index in part] for parts in dealt for part in parts]
        try:
            loaded = iter(self.loader)
            for parts in dealt:
                yield [
                    (images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True))
                    for images, labels in (next(loaded) for _ in parts)
                ]
        except RequestError as error:  # from a worker process it comes with that one's traceback in front
            raise RequestError(str(error).strip().splitlines()[-1].partition("RequestError: ")[2] or str(error)) from error


class _Augmented(TorchDataset[tuple[Tensor, int]]):
    """(epoch, index) → one image as the training sees it, and its label."""

    def __init__(self, data: ImageFiles, augmentation: Augmentation, seed: int) -> None:
        self.data, self.augmentation, self.seed = data, augmentation, seed

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, int]:
        epoch, index = item
        if self.augmentation == "none":
            image = self.data.center_crop(index)
        else:
            image = self.data.random_resized_crop(index, stream(self.seed, f"augmentation {epoch} {index}"))
        return image, int(self.data.labels[index])


def make_feed(
    data: Split, augmentation: Augmentation, seed: int, device: torch.device, workers: int
) -> MemoryFeed | FileFeed:
    """The feed for a split.

    Raises:
        RequestError: an augmentation that is not for such images.
    """
    if isinstance(data, ImageFiles):
        return FileFeed(data, augmentation, seed, device, workers)
    assert isinstance(data, LabelledImages)
    if augmentation == "resized-crop-flip":
        raise RequestError("the augmentation 'resized-crop-flip' requires images from files: give an image size")
    return MemoryFeed(data, augmentation, seed, device)
