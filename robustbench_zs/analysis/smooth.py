"""A smooth of an outcome against a predictor, for eyes: local lines over ranks with a bootstrap band."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from robustbench_zs.analysis.permutation import STREAM
from robustbench_zs.analysis.resampling import Floats

BANDWIDTH = 0.08
"""Standard deviation of the weights, as a share of the schemes."""

POINTS = 60
DRAWS = 500


def smooth(x: Floats, y: Floats) -> pd.DataFrame:
    """Local linear regression (Cleveland 1979) with Gaussian weights over the ranks of x, which spreads any scale alike.

    Args:
        x, y: one value per scheme, none missing.

    Returns:
        `rank` (share of the schemes, from that of the least x to that of the largest), `mean`, and the pointwise 95% band
        `low`, `high` by a bootstrap over schemes.
    """
    ranks = (rankdata(x) - 0.5) / len(x)
    grid = np.linspace(ranks.min(), ranks.max(), POINTS)
    counts = np.random.default_rng(STREAM).multinomial(len(x), np.full(len(x), 1 / len(x)), size=DRAWS).astype(float)
    drawn = _local_lines(ranks, y, grid, counts)
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    (mean,) = _local_lines(ranks, y, grid, np.ones((1, len(x))))
    return pd.DataFrame({"rank": grid, "mean": mean, "low": low, "high": high})


def turning_point(line: pd.DataFrame) -> tuple[float, bool] | None:
    """Where a smooth turns most clearly: the rank, and whether that is a peak; None where its bands allow that it only rises
    or falls.

    The band at a peak lies above the band somewhere to its left and somewhere to its right. These bands hold point by point,
    so now and then chance draws such a line: in simulations without a bend (100 and 400 schemes; none, a straight and a
    saturating relation; 120 pairs each), 1 to 7% of single lines had one, but none of the 720 pairs had both in one place.

    Args:
        line: as `smooth` gives it.
    """
    low, high = line["low"].to_numpy(), line["high"].to_numpy()
    found = [(*_clearest_peak(low, high), True), (*_clearest_peak(-high, -low), False)]
    clearance, place, peak = max(found, key=lambda turn: turn[0])
    return (float(line["rank"].iloc[place]), peak) if clearance > 0 else None


def _clearest_peak(low: Floats, high: Floats) -> tuple[float, int]:
    """By how much the band at one point clears the bands on both sides, and which point that is."""
    left = np.concatenate([[np.inf], np.minimum.accumulate(high)[:-1]])
    right = np.concatenate([np.minimum.accumulate(high[::-1])[::-1][1:], [np.inf]])
    clearance = low - np.maximum(left, right)
    place = int(clearance.argmax())
    return float(clearance[place]), place


def _local_lines(ranks: Floats, y: Floats, grid: Floats, counts: Floats) -> Floats:
    """Value of the local line at each point of the grid, for each draw of schemes; draws × points."""
    offsets = ranks - grid[:, None]
    weights = np.exp(-0.5 * (offsets / BANDWIDTH) ** 2)
    s_0, s_1, s_2 = (counts @ (weights * offsets**power).T for power in (0, 1, 2))
    t_0, t_1 = (counts @ (weights * offsets**power * y).T for power in (0, 1))
    spread = s_0 * s_2 - s_1**2
    flat = spread <= 1e-12 * s_0**2  # all schemes at one rank: their mean
    return np.where(flat, t_0 / s_0, (s_2 * t_0 - s_1 * t_1) / np.where(flat, 1, spread))
