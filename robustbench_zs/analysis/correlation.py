"""Spearman's rank correlation over schemes: its interval, its p-value, and what is left of it given a third quantity."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

from robustbench_zs.analysis.permutation import LEVEL, joint_test
from robustbench_zs.analysis.resampling import FEWEST_SCHEMES, Floats

FEWEST_FOR_A_STATEMENT = 6
"""With fewer schemes than this no relation is stated, whatever its p-value."""


def spearman(x: Floats, y: Floats) -> float:
    """Spearman's ρ over the pairs without a NaN, ties by average ranks; NaN below three pairs or where one is constant."""
    known = np.isfinite(x) & np.isfinite(y)
    a, b = rankdata(x[known]), rankdata(y[known])
    if len(a) < 3 or not (np.ptp(a) and np.ptp(b)):
        return np.nan
    return float(np.corrcoef(a, b)[0, 1].clip(-1, 1))


def partial_spearman(x: Floats, y: Floats, z: Floats) -> float:
    """ρ of x and y given z, (ρ_xy − ρ_xz ρ_yz) / √((1 − ρ_xz²)(1 − ρ_yz²)); NaN where z determines x or y."""
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(z)
    x, y, z = x[known], y[known], z[known]
    xy, xz, yz = spearman(x, y), *np.nan_to_num([spearman(x, z), spearman(y, z)])  # what is constant explains nothing
    rest = (1 - xz**2) * (1 - yz**2)
    return float(np.clip((xy - xz * yz) / np.sqrt(rest), -1, 1)) if rest > 1e-12 else np.nan


def correlation_interval(rho: float, n: int, critical: float = float(norm.ppf(0.975))) -> tuple[float, float]:
    """Interval of Spearman's ρ over n schemes by Fisher's z with the variance (1 + ρ²/2) / (n − 3).

    Bonett and Wright (2000). It is 95% unless another critical value of the normal distribution is given. NaN below
    `FEWEST_SCHEMES`, and where |ρ| is 1, of which z is infinite.
    """
    if n < FEWEST_SCHEMES or not abs(rho) < 1:
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
        """What one relation by itself allows to say."""
        if self.rho is None or self.p_value is None:
            return "cannot be computed: too few schemes, or all alike"
        if self.schemes < FEWEST_FOR_A_STATEMENT:
            return f"not established: fewer than {FEWEST_FOR_A_STATEMENT} schemes"
        if self.p_value > LEVEL:
            return "not established"
        return "positive relation" if self.rho > 0 else "negative relation"


def rank_correlation(predictor: Sequence[float], outcome: Sequence[float], schemes: Sequence[Hashable]) -> RankCorrelation:
    """Spearman's ρ of `predictor` and `outcome`, one value a network each, over the means of the schemes.

    Networks of one scheme differ only by their seed and are no independent evidence. The p-value is two-sided, of this
    one relation alone: where several are looked at, `conclude` adjusts for their number.
    """
    frame = pd.DataFrame({"x": np.asarray(predictor, float), "y": np.asarray(outcome, float)})
    numbers = {scheme: i for i, scheme in enumerate(dict.fromkeys(schemes))}
    means = frame.groupby([numbers[s] for s in schemes]).agg(lambda values: values.mean(skipna=False))
    x, y = means.sort_values(["x", "y"]).round(9).to_numpy().T  # what is equal up to rounding is a tie
    rho = spearman(x, y) if np.isfinite([x, y]).all() else np.nan
    if not np.isfinite(rho):
        return RankCorrelation(None, None, None, None, len(x))
    low, high = correlation_interval(rho, len(x))
    p_value = float(joint_test(x[:, None], y[:, None], []).p[0, 0])
    return RankCorrelation(rho, *(None if np.isnan(v) else v for v in (low, high)), p_value, len(x))
