"""Exact tests of one network against itself on the same images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAX_SUPPORT = 2**16
"""A sum of more steps is taken as normal: its distribution is symmetric, so that the error is of the order of one in the
number of images that differ."""

ROUNDING = 1e-15
"""Of a Fourier transform; a smaller p is given as this."""


def discordant(before: npt.NDArray[np.bool_], now: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Numbers of images that were right and are wrong now, and that were wrong and are right now."""
    return int((before & ~now).sum()), int((~before & now).sum())


def mcnemar(worse: int, better: int) -> float:
    """Exact one-sided p: the chance of so many or more of the discordant images having got worse if both are as likely."""
    from scipy.special import betainc

    return float(betainc(worse, better + 1, 0.5)) if worse else 1.0  # the tail of the binomial distribution


def sign_flips(losses: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Exact one-sided p that the sum over images is so large, and so small, if each image's sign is as likely either way.

    With one kind of images this is McNemar's test. No sign is drawn: the sum of ±1 times the sizes of N images has
    the characteristic function ∏ cos(size·θ), which one Fourier transform turns into its distribution.

    Args:
        losses: N, in how many kinds of images each image got worse, less in how many it got better.
    """
    from scipy.fft import irfft, next_fast_len
    from scipy.special import ndtr

    sizes, counts = np.unique(np.abs(losses[losses != 0]), return_counts=True)
    total, observed = int(sizes @ counts), int(losses.sum())
    if total == 0:
        return 1.0, 1.0
    if total > MAX_SUPPORT:
        z = observed / np.sqrt(sizes**2 @ counts)
        return float(ndtr(-z)), float(ndtr(z))
    # (sum + total) / 2 has steps of one, from 0 to total: it is the sum of the sizes whose sign is positive.
    length = next_fast_len(total + 1, real=True)
    half = np.pi * np.arange(length // 2 + 1) / length
    transform = np.exp(-1j * half * total)
    for size, count in zip(sizes, counts, strict=True):
        transform *= np.cos(half * size) ** count
    chances = irfft(transform, length)[: total + 1]
    place = (observed + total) // 2
    least = max(0.5 ** int(counts.sum()), ROUNDING)
    upper, lower = (min(1.0, max(float(tail.sum()), least)) for tail in (chances[place:], chances[: place + 1]))
    return upper, lower
