from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare
from torch import Generator, Tensor

from robustbench_zs.training.augmentation import CropsAndFlips, crop, crop_and_flip, flip

WINDOWS = [(top, left) for top in range(9) for left in range(9)]


def numbered(n: int, channels: int, height: int, width: int) -> Tensor:
    """Images in which no two pixels are equal and none is 0, so that a window is found at one place only."""
    return torch.arange(1, 1 + n * channels * height * width, dtype=torch.float32).view(n, channels, height, width)


def draws(seed: int, images: Tensor) -> CropsAndFlips:
    return CropsAndFlips.draw(len(images), Generator().manual_seed(seed))


def crops_of(images: Tensor, seed: int) -> Tensor:
    made = draws(seed, images)
    return crop(images, made.top, made.left)


def window_of(image: Tensor, window: Tensor) -> list[tuple[int, int]]:
    """Where `window` lies in `image` padded by 4 zeros a side."""
    padded, (height, width) = F.pad(image, (4, 4, 4, 4)), image.shape[1:]
    return [(t, left) for t, left in WINDOWS if torch.equal(padded[:, t : t + height, left : left + width], window)]


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 5),
    channels=st.integers(1, 3),
    height=st.integers(8, 12),
    width=st.integers(8, 12),
    seed=st.integers(0, 2**32),
)
def test_a_crop_is_one_window_of_the_padded_image(n: int, channels: int, height: int, width: int, seed: int) -> None:
    images = numbered(n, channels, height, width)
    crops = crops_of(images, seed)
    assert crops.shape == images.shape
    assert all(len(window_of(image, crop)) == 1 for image, crop in zip(images, crops, strict=True))


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 5), channels=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_a_flip_is_the_image_or_its_mirror(n: int, channels: int, seed: int) -> None:
    images = numbered(n, channels, 8, 9)
    for image, flipped in zip(images, flip(images, draws(seed, images).mirror), strict=True):
        assert torch.equal(flipped, image) or torch.equal(flipped, torch.from_numpy(image.numpy()[:, :, ::-1].copy()))


def test_every_augmented_image_is_a_shifted_copy_mirrored_or_not() -> None:
    images = numbered(50, 3, 8, 8)
    for image, new in zip(images, crop_and_flip(images, draws(0, images)), strict=True):
        assert len(window_of(image, new)) + len(window_of(image, new.flip(2))) == 1


def test_all_81_windows_are_as_frequent() -> None:
    images = numbered(1, 1, 8, 8).expand(8100, -1, -1, -1)
    windows, counts = crops_of(images, 0).unique(dim=0, return_counts=True)
    assert len(windows) == 81
    assert chisquare(counts.numpy()).pvalue > 0.001


def test_half_of_the_images_are_mirrored() -> None:
    images = numbered(1, 1, 8, 8).expand(2000, -1, -1, -1)
    mirrored = (flip(images, draws(0, images).mirror) != images).flatten(1).any(1)
    assert binomtest(int(mirrored.sum()), 2000).pvalue > 0.001


def test_the_generator_decides_and_the_images_stay_as_they_were() -> None:
    images = numbered(20, 1, 8, 8)
    before = images.clone()
    assert torch.equal(crop_and_flip(images, draws(3, images)), crop_and_flip(images, draws(3, images)))
    assert not torch.equal(crop_and_flip(images, draws(3, images)), crop_and_flip(images, draws(4, images)))
    assert torch.equal(images, before)


def test_parts_of_a_step_are_augmented_as_the_whole() -> None:
    images = numbered(7, 3, 8, 8)
    made = draws(0, images)
    parts = [crop_and_flip(images[part], made.of(part)) for part in (slice(0, 4), slice(4, 7))]
    assert torch.equal(torch.cat(parts), crop_and_flip(images, made))
