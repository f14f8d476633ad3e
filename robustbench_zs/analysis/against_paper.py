"""Our numbers beside the paper's, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from robustbench_zs.analysis.summary import by_scheme
from robustbench_zs.paper import paper_results

ONE_SEED = "no spread here: one seed"

PRINTED = 0.005 + 1e-9
"""Numbers that differ by no more agree in the two decimals that the paper prints."""


def accuracy_cells(results: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds of every accuracy and gap: `dataset`, `network`, `outcome`, `mean`, `std`.

    Args:
        results, gaps: one row per network and perturbation, one row per network; see `evaluation.result_row` and `gap_row`.
    """
    cells = [by_scheme(results, "accuracy", ["dataset", "network", "perturbation"])]
    cells[0] = cells[0].rename(columns={"perturbation": "outcome"})
    for column in ("train_accuracy", "test_accuracy", "gap"):
        cells.append(by_scheme(gaps, column, ["dataset", "network"]).assign(outcome=column))
    return pd.concat(cells, ignore_index=True)


def against_paper(
    table: str, ours: pd.DataFrame, paper_networks: Mapping[str, tuple[str, int]], tolerance: float | None = None
) -> pd.DataFrame:
    """Every number of ours that the paper's table has a cell for, or could have one for.

    Args:
        table: of the paper, such as `"table3"`.
        ours: one row per number: `dataset`, `network`, `outcome`, `mean`, `std`; see `accuracy_cells`.
        paper_networks: name of a network of ours → scheme and depth of the paper's one that it stands for.
        tolerance: for numbers that are counted or computed and have no spread: differences up to it are called agreement.

    Returns:
        One row per cell: `dataset`, `network`, `outcome`, `paper_mean`, `paper_std`, `mean`, `std` (over seeds),
        `difference` (ours − the paper's), `verdict`: whether the difference is within √(std² + paper_std²), or why that
        cannot be said.
    """
    keys = ("dataset", "scheme", "depth", "outcome")
    cells = {tuple(c[k] for k in keys): c for c in paper_results(table).to_dict("records")}
    rows = []
    outcomes = {key[-1] for key in cells} or {"clean"}
    for row in ours.to_dict("records"):
        if row["outcome"] not in outcomes:
            continue
        cell = cells.get((row["dataset"], *paper_networks[row["network"]], row["outcome"]))
        paper_mean, paper_std = (cell["mean"], cell["std"]) if cell else (math.nan, math.nan)
        difference = row["mean"] - paper_mean
        rows.append(
            {
                "dataset": row["dataset"],
                "network": row["network"],
                "outcome": row["outcome"],
                "paper_mean": paper_mean,
                "paper_std": paper_std,
                "mean": row["mean"],
                "std": row["std"],
                "difference": difference,
                "verdict": _verdict(cell is not None, difference, row["std"], paper_std, tolerance),
            }
        )
    return pd.DataFrame(rows)


def _verdict(in_paper: bool, difference: float, std: float, paper_std: float, tolerance: float | None) -> str:
    if not in_paper:
        return "the paper gives no figure"
    if tolerance is not None:
        return (
            "equal as printed"
            if abs(difference) <= PRINTED
            else f"within {tolerance}"
            if abs(difference) <= tolerance
            else "differs; the paper gives no spread"
        )
    if math.isnan(paper_std):
        return "the paper gives no spread"
    if math.isnan(std):
        return ONE_SEED
    return "within the combined spread" if abs(difference) <= math.hypot(std, paper_std) else "outside the combined spread"
