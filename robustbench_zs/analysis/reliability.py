"""Reliability of outcomes: how much they differ between schemes rather than between seeds of one scheme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import f

MIN_RELIABILITY = 0.3
"""Below it an outcome differs hardly more between schemes than between seeds: there is nothing to predict."""


def reliability(values: pd.DataFrame, schemes: pd.Series) -> pd.Series:
    """Intraclass correlation of one network's value, ICC(1) of Shrout and Fleiss (1979), not below 0.

    Seeds are the replicates; schemes may have different numbers of them. 0 where all values are equal.

    Args:
        values: one row per scheme and seed, one column per outcome; NaN where unknown.
        schemes: of each row.

    Returns:
        By outcome, from 0 to 1; NaN with one scheme, or one seed per scheme.
    """
    groups = values.groupby(schemes)
    sizes, total = groups.count(), values.count()
    between, within = (sizes > 0).sum() - 1, total - (sizes > 0).sum()
    ms_between = (sizes * (groups.mean() - values.mean()) ** 2).sum() / between.where(between > 0)
    ms_within = ((values - groups.transform("mean")) ** 2).sum() / within.where(within > 0)
    seeds = (total - (sizes**2).sum() / total) / between.where(between > 0)
    spread = ms_between + (seeds - 1) * ms_within
    return ((ms_between - ms_within) / spread.where(spread > 0)).clip(lower=0).mask(spread == 0, 0.0)


@dataclass(frozen=True)
class Ceiling:
    """How well ranks of schemes could be predicted at all, from the schemes with several seeds.

    Args:
        reliability: ICC(1) of the rank of one network, with its 95% interval `low`, `high`.
        of_means: the same of a scheme's mean over its seeds, by Spearman and Brown.
        ceiling: its square root: the |ρ| that a perfect predictor would have with these means.
        schemes: with several seeds.
    """

    reliability: float
    low: float
    high: float
    of_means: float
    ceiling: float
    schemes: int


def ceiling(values: pd.Series, schemes: pd.Series) -> Ceiling:
    """The ceiling of an outcome; NaN in every field where no scheme, or a single one, has several seeds.

    Args:
        values: one per network.
        schemes: of each network.
    """
    seeds = schemes.map(schemes.value_counts())
    several = seeds > 1
    twice = schemes[several].nunique()
    found = float(reliability(values.rank()[several].to_frame("rank"), schemes[several])["rank"]) if twice > 1 else np.nan
    low, high = reliability_interval(found, twice, float(seeds[several].mean()))
    # The noise of a mean goes with 1 / seeds, so the harmonic mean of their numbers counts.
    of_means = spearman_brown(found, schemes.nunique() / float((1 / seeds**2).sum()))
    return Ceiling(found, low, high, of_means, float(np.sqrt(of_means)), twice)


def spearman_brown(single: float, seeds: float) -> float:
    """Reliability of the mean of so many seeds, from that of one (Spearman 1910, Brown 1910)."""
    return seeds * single / (1 + (seeds - 1) * single)


def reliability_interval(icc: float, schemes: int, seeds: float) -> tuple[float, float]:
    """95% interval of ICC(1) from n schemes with so many seeds each, by the F distribution (Shrout and Fleiss 1979)."""
    if not (icc < 1 and schemes > 1):
        return np.nan, np.nan
    ratio, degrees = (1 + (seeds - 1) * icc) / (1 - icc), (schemes - 1, schemes * (seeds - 1))
    bounds: Sequence[float] = (ratio / f.ppf(0.975, *degrees), ratio * f.ppf(0.975, *degrees[::-1]))
    low, high = ((bound - 1) / (bound + seeds - 1) for bound in bounds)
    return float(low), float(high)
