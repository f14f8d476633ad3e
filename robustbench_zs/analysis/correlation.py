"""Spearman's rank correlation over schemes: its interval, its p-value, and its partial form given a third quantity."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from robustbench_zs.analysis.permutation import LEVEL, joint_test, standard_ranks
from robustbench_zs.analysis.resampling import Floats

MIN_FOR_A_STATEMENT = 6
"""With fewer schemes than this no relation is stated, whatever its p-value."""

MIN_FOR_AN_INTERVAL = 9
"""Below, an interval of a strong correlation covers it in less than 94% of cases: `benchmarks/inference/README.md`."""


def spearman(x: Floats, y: Floats) -> Floats:
    """Spearman's ρ of every column of x with every column of y, over the rows that both have, ties by average ranks.

    NaN below three rows or where a column is constant.
    """
    rho: Floats = standard_ranks(x).T @ standard_ranks(y)
    rho[_constant(x)[:, None] | _constant(y)] = np.nan
    gaps = np.isnan(x).any(0, keepdims=True).T | np.isnan(y).any(0, keepdims=True)
    for i, j in np.argwhere(gaps):
        known = np.isfinite(x[:, i]) & np.isfinite(y[:, j])
        rho[i, j] = spearman(x[known, i][:, None], y[known, j][:, None])[0, 0]
    return rho.clip(-1, 1) if len(x) >= 3 else np.full_like(rho, np.nan)


def partial_spearman(x: Floats, y: Floats, z: Floats) -> Floats:
    """ρ of x and y, column by column, given z: (ρ_xy − ρ_xz ρ_yz) / √((1 − ρ_xz²)(1 − ρ_yz²)).

    NaN where z, a single column, determines x or y. What is constant in z explains nothing.
    """
    xy, xz, yz = spearman(x, y), np.nan_to_num(spearman(x, z)), np.nan_to_num(spearman(y, z)).T
    rest = (1 - xz**2) * (1 - yz**2)
    return np.where(rest > 1e-12, (xy - xz * yz) / np.sqrt(rest.clip(1e-12)), np.nan).clip(-1, 1)


def _constant(values: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray(~(np.nanmax(values, 0, initial=-np.inf) > np.nanmin(values, 0, initial=np.inf)))


def correlation_interval(rho: float, n: int, critical: float = float(norm.ppf(0.975))) -> tuple[float, float]:
    """Interval of Spearman's ρ over n schemes by Fisher's z with the variance (1 + ρ²/2) / (n − 3).

    Bonett and Wright (2000). It is 95% unless another critical value of the normal distribution is given. NaN below
    `MIN_FOR_AN_INTERVAL`, and where |ρ| is 1, of which z is infinite.
    """
    if n < MIN_FOR_AN_INTERVAL or not abs(rho) < 1:
        return np.nan, np.nan
    half = critical * ((1 + rho**2 / 2) / (n - 3)) ** 0.5
    return float(np.tanh(np.arctanh(rho) - half)), float(np.tanh(np.arctanh(rho) + half))


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's ρ of scheme means with its 95% interval and permutation p-value; None where it cannot be computed."""

    rho: float | None
    low: float | None
    high: float | None
    p_value: float | None
    schemes: int

    @property
    def finding(self) -> str:
        """What can be said of one relation on its own."""
        if self.rho is None or self.p_value is None:
            return "cannot be computed: too few schemes, or all alike"
        if self.schemes < MIN_FOR_A_STATEMENT:
            return f"not established: fewer than {MIN_FOR_A_STATEMENT} schemes"
        if self.p_value > LEVEL:
            return "not established"
        return "positive relation" if self.rho > 0 else "negative relation"


def rank_correlation(predictor: Sequence[float], outcome: Sequence[float], schemes: Sequence[Hashable]) -> RankCorrelation:
    """Spearman's ρ of `predictor` and `outcome`, one value per network each, over the means of the schemes.

    Networks of one scheme differ only by their seed and are no independent evidence. The p-value is two-sided, of this
    one relation alone: where several are looked at, `conclude` adjusts for their number.
    """
    numbers = {scheme: i for i, scheme in enumerate(dict.fromkeys(schemes))}
    frame = pd.DataFrame({"x": predictor, "y": outcome, "scheme": [numbers[s] for s in schemes]}, dtype=float)
    means = frame.groupby("scheme").mean().sort_values(["x", "y"]).round(9)  # what is equal up to rounding is a tie
    x, y = (means[[c]].to_numpy() for c in ("x", "y"))
    rho = float(spearman(x, y)[0, 0]) if np.isfinite(frame.to_numpy()).all() else np.nan
    if not np.isfinite(rho):
        return RankCorrelation(None, None, None, None, len(x))
    low, high = (None if np.isnan(bound) else bound for bound in correlation_interval(rho, len(x)))
    return RankCorrelation(rho, low, high, float(joint_test(x, y, []).p[0, 0]), len(x))
