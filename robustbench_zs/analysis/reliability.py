"""How far an outcome differs between schemes rather than between seeds of one scheme."""

from __future__ import annotations

import pandas as pd

LEAST_RELIABILITY = 0.3
"""Below it an outcome differs hardly more between schemes than between seeds: there is nothing to predict."""


def reliability(values: pd.DataFrame, schemes: pd.Series) -> pd.Series:
    """Intraclass correlation of one network's value, ICC(1) of Shrout and Fleiss (1979), not below 0.

    Seeds are the replicates; schemes may have different numbers of them. 0 where all values are equal.

    Args:
        values: one row a scheme and seed, one column an outcome; NaN where unknown.
        schemes: of each row.

    Returns:
        By outcome, from 0 to 1; NaN with one scheme, or one seed a scheme.
    """
    groups = values.groupby(schemes)
    sizes, total = groups.count(), values.count()
    between, within = (sizes > 0).sum() - 1, total - (sizes > 0).sum()
    ms_between = (sizes * (groups.mean() - values.mean()) ** 2).sum() / between.where(between > 0)
    ms_within = ((values - groups.transform("mean")) ** 2).sum() / within.where(within > 0)
    seeds = (total - (sizes**2).sum() / total) / between.where(between > 0)
    spread = ms_between + (seeds - 1) * ms_within
    return ((ms_between - ms_within) / spread.where(spread > 0)).clip(lower=0).mask(spread == 0, 0.0)
