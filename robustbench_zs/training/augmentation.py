"""Augmentation as batched tensor functions; random numbers come from the generator that is handed in."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

PADDING = 4


def random_crop(images: Tensor, generator: Generator) -> Tensor:
    """Pad by 4 zero pixels a side and cut a window of the old size at a random place for each image; N×C×H×W."""
    n, channels, height, width = images.shape
    padded = F.pad(images, (PADDING,) * 4)
    top, left = torch.randint(0, 2 * PADDING + 1, (2, n), generator=generator).to(images.device)
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    image = torch.arange(n, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def random_flip(images: Tensor, generator: Generator) -> Tensor:
    """Mirror each image left to right with probability 1/2; N×C×H×W."""
    mirror = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return torch.where(mirror[:, None, None, None], images.flip(3), images)


def crop_and_flip(images: Tensor, generator: Generator) -> Tensor:
    """The paper's augmentation for the CIFAR sets (§5.6)."""
    return random_flip(random_crop(images, generator), generator)
