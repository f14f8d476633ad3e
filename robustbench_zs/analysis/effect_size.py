"""Zero-stable against other schemes as an effect size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import mannwhitneyu, norm

from robustbench_zs.analysis.resampling import Floats

MAX_EXACT = 5000
"""Up to so many pairs their differences are formed and the distribution of U is exact; beyond, it is taken as normal."""


@dataclass(frozen=True)
class EffectSize:
    """Non-zero-stable − zero-stable, each scheme counting once; None where it cannot be computed.

    Args:
        shift: Hodges–Lehmann: the median of all differences between a scheme of one side and one of the other, in the unit
            of the outcome. A few collapsed networks do not carry it away as they do a difference of means.
        shift_low, shift_high: its 95% interval, by inverting Mann and Whitney's test; None with too few schemes for one.
        cliffs_delta: share of these pairs with the non-zero-stable scheme above − share with it below, from −1 to 1.
    """

    shift: float | None
    shift_low: float | None
    shift_high: float | None
    cliffs_delta: float | None
    non_zero_stable_schemes: int
    zero_stable_schemes: int


def effect_size(non_zero_stable: Floats, zero_stable: Floats) -> EffectSize:
    """Effect size of two sides with one value per scheme."""
    sides = len(non_zero_stable), len(zero_stable)
    pairs = sides[0] * sides[1]
    if not pairs:
        return EffectSize(None, None, None, None, *sides)
    a, b = np.sort(non_zero_stable), np.sort(zero_stable)
    middle = [kth_difference(a, b, k) for k in ((pairs - 1) // 2, pairs // 2)]
    bound = interval_rank(*sides)
    low, high = (None, None) if bound is None else (kth_difference(a, b, k) for k in (bound - 1, pairs - bound))
    delta = 2 * float(mannwhitneyu(a, b).statistic) / pairs - 1
    return EffectSize((middle[0] + middle[1]) / 2, low, high, delta, *sides)


def kth_difference(a: Floats, b: Floats, k: int) -> float:
    """The k-th smallest (from 0) of all a_i − b_j of two ascending arrays; many are not formed but bisected."""
    if len(a) * len(b) <= MAX_EXACT:
        return float(np.partition(np.subtract.outer(a, b), k, axis=None)[k])

    def up_to(t: float) -> int:
        return int((len(b) - np.searchsorted(b, a - t, side="left")).sum())

    low, high = float(a[0] - b[-1]), float(a[-1] - b[0])
    while up_to(low) <= k:
        middle = low + (high - low) / 2
        if middle in (low, high):
            return high
        low, high = (middle, high) if up_to(middle) <= k else (low, middle)
    return low


@cache
def interval_rank(m: int, n: int) -> int | None:
    """The c-th smallest and the c-th largest of m·n differences bound a 95% interval of the shift.

    It is the largest c with P(U < c) ≤ 2.5% for Mann and Whitney's U without ties; None where there is none.
    """
    if m * n <= MAX_EXACT:
        count = int((np.cumsum(u_distribution(m, n)) <= 0.025).sum())
    else:
        count = int(m * n / 2 - norm.ppf(0.975) * (m * n * (m + n + 1) / 12) ** 0.5)
    return count or None


def u_distribution(m: int, n: int) -> Floats:
    """P(U = 0), …, P(U = m·n) without ties: the coefficients of ∏ (1 − q^(n+i)) / (1 − q^i), i = 1 … m, over their sum."""
    counts = np.zeros(m * n + 1, object)  # whole numbers of any size: their differences must be exact
    counts[0] = 1
    for i in range(1, m + 1):
        counts[n + i :] -= counts[: max(0, m * n + 1 - n - i)].copy()
        for start in range(min(i, m * n + 1)):
            counts[start::i] = np.cumsum(counts[start::i])
    return np.array(counts / counts.sum(), float)
