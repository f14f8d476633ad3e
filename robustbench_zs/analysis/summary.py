"""From rows per network to rows per scheme: mean and standard deviation over seeds, as the paper's tables give them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

CLEAN = "clean"


def perturbed(results: pd.DataFrame) -> pd.DataFrame:
    """The rows on images that were changed, without `clean` and `clean(top=5)`."""
    return results[~results["perturbation"].str.startswith(CLEAN)]


def by_scheme(results: pd.DataFrame, value: str, over: Sequence[str] = ("network", "perturbation")) -> pd.DataFrame:
    """Mean and sample standard deviation (null for one seed) of a column over seeds, in the order of first appearance.

    Args:
        results: one row per network and perturbation, with the columns of `evaluation.result_row` or `gap_row`.
        value: the column to summarize.
        over: what a row of the result stands for.

    Returns:
        The columns `over`, then `scheme`, `largest_modulus`, `zero_stable`, `mean`, `std`, `seeds`.
    """
    frame = with_largest_modulus(results)
    grouped = frame.groupby(list(over), sort=False, dropna=False)
    summary = grouped.agg(
        scheme=("scheme", "first"),
        largest_modulus=("largest_modulus", "first"),
        zero_stable=("zero_stable", "first"),
        mean=(value, "mean"),
        std=(value, "std"),
        seeds=(value, "size"),
    )
    return summary.reset_index()


def with_largest_modulus(results: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column `largest_modulus`, rounded to 9 decimals so that equal moduli are ties."""
    largest = pd.Series([round(max(moduli), 9) if moduli else None for moduli in results["moduli"]], results.index, float)
    return results.assign(largest_modulus=largest)
