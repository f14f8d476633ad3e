"""Schemes that do what zero-stability would not have one expect."""

from __future__ import annotations

import pandas as pd

from robustbench_zs.analysis.network_outcomes import CLEAN_ACCURACY


def exception_sentences(outcomes: pd.DataFrame) -> list[str]:
    """Zero-stable networks that are less accurate than the most accurate one that is not; none where the sides are apart.

    Args:
        outcomes: see `network_outcomes`; networks whose scheme has no verdict are left out.
    """
    clean = outcomes[(outcomes["kind"] == CLEAN_ACCURACY) & outcomes["zero_stable"].notna()]
    means = clean.groupby("network", sort=False).agg(value=("value", "mean"), stable=("zero_stable", "first"))
    stable = means["stable"].astype(bool)
    others, zero_stable = means["value"][~stable], means["value"][stable]
    if others.empty or zero_stable.empty:
        return []
    below = zero_stable[zero_stable < others.max()].sort_values()
    if below.empty:
        return []
    listed = ", ".join(f"`{network}` {value:.1f}%" for network, value in below.head(MAX_LISTED).items())
    more = f" and {len(below) - MAX_LISTED} more" if len(below) > MAX_LISTED else ""
    are = "is" if len(below) == 1 else "are"
    return [
        f"Not every zero-stable network is more accurate than every other: {len(below)} of {len(zero_stable)} {are} less "
        f"accurate ({listed}{more}) than `{others.idxmax()}` ({others.max():.1f}%), which is not zero-stable."
    ]


MAX_LISTED = 5
