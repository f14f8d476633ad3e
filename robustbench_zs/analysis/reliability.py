"""How far an outcome differs between schemes rather than between seeds of one scheme."""

from __future__ import annotations

import pandas as pd

LEAST_RELIABILITY = 0.3
"""Below it an outcome differs hardly more between schemes than between seeds: there is nothing to predict."""


def reliability(values: pd.Series, schemes: pd.Series) -> float | None:
    """Intraclass correlation of one network's value, ICC(1) of Shrout and Fleiss (1979), not below 0.

    Seeds are the replicates; schemes may have different numbers of them. 0 where all values are equal.

    Args:
        values: one a scheme and seed.
        schemes: of each value.

    Returns:
        From 0 to 1; None with one scheme, or one seed a scheme.
    """
    groups = values.groupby(schemes)
    sizes, total = groups.size(), len(values)
    between, within = len(sizes) - 1, total - len(sizes)
    if between < 1 or within < 1:
        return None
    means = groups.mean()
    ms_between = float((sizes * (means - values.mean()) ** 2).sum()) / between
    ms_within = float(((values - groups.transform("mean")) ** 2).sum()) / within
    seeds = (total - float((sizes**2).sum()) / total) / between
    spread = ms_between + (seeds - 1) * ms_within
    return max(0.0, (ms_between - ms_within) / spread) if spread > 0 else 0.0
