"""What a check could not have seen: the smallest drop that its rule finds with 80% power."""

from __future__ import annotations

import numpy as np

POWER = 0.8


def detectable_by_images(images: int, discordance: float, alpha: float, min_drop: float) -> float | None:
    """Smallest true drop, in points, that McNemar's exact test at `alpha` and the minimal drop find with 80% power.

    Args:
        images: number N of images.
        discordance: share of images whose outcome differs, as observed; where the drop is larger, the drop.
        alpha: level of the single test, the check's divided by the number of comparisons (Holm's strictest step).
        min_drop: points.

    Returns:
        Points, a multiple of 100/N; None if no drop at all is found.
    """
    low, high = 0, images
    if power_by_images(images, discordance, 1.0, alpha, min_drop) < POWER:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if power_by_images(images, discordance, middle / images, alpha, min_drop) >= POWER:
            high = middle
        else:
            low = middle
    return 100 * high / images


def power_by_images(images: int, discordance: float, drop: float, alpha: float, min_drop: float) -> float:
    """Chance that the rule fires at a true drop (a fraction): D ~ Bin(N, max(discordance, drop)) images differ, and of these
    Bin(D, (1 + drop/discordance)/2) got worse."""
    from scipy.stats import binom

    differing = max(discordance, drop)
    if differing == 0:
        return 0.0
    first, last = (int(binom.ppf(q, images, differing)) for q in (1e-9, 1 - 1e-9))
    counts = np.arange(max(first, 1), last + 1)
    least = np.maximum(binom.isf(alpha, counts, 0.5) + 1, np.ceil((counts + min_drop / 100 * images - 1e-9) / 2))
    worse = min(1.0, (1 + drop / differing) / 2)
    return float((binom.pmf(counts, images, differing) * binom.sf(least - 1, counts, worse)).sum())


def detectable_by_seeds(deviation: float, freedom: float, alpha: float, min_drop: float) -> float | None:
    """Smallest true drop, in points, that Welch's one-sided test at `alpha` and the minimal drop find with 80% power.

    Args:
        deviation: standard error of the difference of means, in points.
        freedom: its degrees of freedom.

    Returns:
        Points; None if it would be more than 100.
    """
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    if deviation == 0:
        return max(min_drop, 0.0)
    threshold = max(float(t.isf(alpha, freedom)), min_drop / deviation)

    def missing(drop: float) -> float:
        return POWER - float(nct.sf(threshold, freedom, drop / deviation))

    high = min(100.0, 2 * threshold * deviation)
    while missing(high) > 0 and high < 100:
        high = min(100.0, 1.5 * high)
    if not missing(high) <= 0:  # NaN too: scipy gives up far out in the tail
        return None
    return float(brentq(missing, 0.0, high, xtol=1e-3))
