"""Augmentation as batched tensor functions; random numbers are drawn for a whole step, whoever then works on which part."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

PADDING = 4


@dataclass(frozen=True, eq=False)
class CropsAndFlips:
    """Random choices for N images: `top` and `left` corner of the window (int64, N), whether to mirror (bool, N)."""

    top: Tensor
    left: Tensor
    mirror: Tensor

    @staticmethod
    def draw(n: int, generator: Generator) -> CropsAndFlips:
        """Uniform corners, and a mirror with probability 1/2, from a CPU generator."""
        top, left = torch.randint(0, 2 * PADDING + 1, (2, n), generator=generator)
        return CropsAndFlips(top, left, torch.rand(n, generator=generator) < 0.5)

    def of(self, part: slice) -> CropsAndFlips:
        """The choices for some of the images."""
        return CropsAndFlips(self.top[part], self.left[part], self.mirror[part])


def crop(images: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Pad by 4 zero pixels a side and cut the window of the old size at the given corners; N×C×H×W."""
    n, channels, height, width = images.shape
    padded = F.pad(images, (PADDING,) * 4)
    rows = top.to(images.device)[:, None] + torch.arange(height, device=images.device)
    columns = left.to(images.device)[:, None] + torch.arange(width, device=images.device)
    image = torch.arange(n, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def flip(images: Tensor, mirror: Tensor) -> Tensor:
    """Mirror those images left to right; N×C×H×W."""
    return torch.where(mirror.to(images.device)[:, None, None, None], images.flip(3), images)


def crop_and_flip(images: Tensor, draws: CropsAndFlips) -> Tensor:
    """The paper's augmentation for the CIFAR sets (§5.6)."""
    return flip(crop(images, draws.top, draws.left), draws.mirror)
