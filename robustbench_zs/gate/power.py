"""Power of a check: the smallest drop that its rule detects with 80% power."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

POWER = 0.8
NODES = 50
"""Quantiles that stand for a distribution of variances."""


@lru_cache(maxsize=4096)
def detectable_by_images(images: int, better: int, alpha: float, min_drop: float) -> float | None:
    """Smallest true drop, in points, that McNemar's exact test at `alpha` and the minimal drop find with 80% power.

    Images that change without a cause get better as often as worse, and a drop comes on top of that: so the images that got
    better tell how many change without a cause, however large the drop was. Their share is taken at its upper bound, so that
    none among few is not none at all; the bound is Clopper and Pearson's that holds in at least half of all checks, since a
    surer one would state drops that are found far more often than in 80%.

    Args:
        images: number N of images.
        better: how many of them were wrong and are right now.
        alpha: level of the single test, the check's divided by the number of comparisons (Holm's strictest step).
        min_drop: points.

    Returns:
        Points, a multiple of 100/N; None if no drop at all is found.
    """
    from scipy.stats import beta

    churn = float(beta.ppf(0.5, better + 1, images - better)) if better < images else 1.0
    low, high = 0, int(images * (1 - 2 * churn))
    if high <= 0 or power_by_images(images, churn, high / images, alpha, min_drop) < POWER:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if power_by_images(images, churn, middle / images, alpha, min_drop) >= POWER:
            high = middle
        else:
            low = middle
    return 100 * high / images


def power_by_images(images: int, churn: float, drop: float, alpha: float, min_drop: float) -> float:
    """Chance that the rule fires where each image gets better with the chance `churn`, worse with `churn + drop`.

    Of D ~ Bin(N, 2·churn + drop) images that differ Bin(D, (churn + drop)/(2·churn + drop)) got worse.
    """
    from scipy.stats import binom

    differing = 2 * churn + drop
    if differing == 0:
        return 0.0
    first, last = (int(binom.ppf(q, images, differing)) for q in (1e-9, 1 - 1e-9))
    counts = np.arange(max(first, 1), last + 1)
    least = np.maximum(binom.isf(alpha, counts, 0.5) + 1, np.ceil((counts + min_drop / 100 * images - 1e-9) / 2))
    return float((binom.pmf(counts, images, differing) * binom.sf(least - 1, counts, (churn + drop) / differing)).sum())


def detectable_by_seeds(error: float, freedom: float, alpha: float, min_drop: float) -> float | None:
    """Smallest true drop, in points, that a one-sided t-test at `alpha` and the minimal drop find with 80% power.

    Args:
        error: standard error of the difference of means, in points.
        freedom: its degrees of freedom.

    Returns:
        Points; None if it would be more than 100.
    """
    if power_by_seeds(error, freedom, 100.0, alpha, min_drop) < POWER:
        return None
    return error * _detectable_errors(freedom, alpha, min_drop / error)


@lru_cache(maxsize=4096)
def _detectable_errors(freedom: float, alpha: float, min_drop: float) -> float:
    """The same in standard errors, which most comparisons of a check have in common."""
    from scipy.optimize import brentq

    high = 1.0
    while power_by_seeds(1.0, freedom, high, alpha, min_drop) < POWER:
        high *= 2
    return float(brentq(lambda drop: power_by_seeds(1.0, freedom, drop, alpha, min_drop) - POWER, 0.0, high, xtol=1e-4))


def power_by_seeds(error: float, freedom: float, drop: float, alpha: float, min_drop: float) -> float:
    """Chance that another check as this one fires at a true drop (points).

    The standard error is an estimate, here and in the other check: each is the true one times √(χ²/freedom) of its own, and
    the chance is the mean over both.
    """
    from scipy.special import ndtr

    ratios, quantile = _ratios(freedom), _quantile(alpha, freedom)
    true = error / ratios[:, None]
    threshold = np.maximum(quantile * true * ratios, min_drop)
    return float(ndtr((drop - threshold) / true).mean())


@lru_cache(maxsize=256)
def _ratios(freedom: float) -> npt.NDArray[np.float64]:
    """Estimated by true standard errors, at equally likely quantiles."""
    from scipy.stats import chi2

    return np.sqrt(np.asarray(chi2.ppf((np.arange(NODES) + 0.5) / NODES, freedom)) / freedom)


@lru_cache(maxsize=256)
def _quantile(alpha: float, freedom: float) -> float:
    from scipy.stats import t

    return float(t.isf(alpha, freedom))
