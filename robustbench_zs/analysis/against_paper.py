"""Our numbers beside the paper's, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from robustbench_zs.analysis.summary import by_scheme
from robustbench_zs.paper import paper_results


def against_paper(
    table: str, results: pd.DataFrame, gaps: pd.DataFrame, paper_networks: Mapping[str, tuple[str, int]]
) -> pd.DataFrame:
    """Every number of ours that the paper's table has a cell for, or could have one for.

    Args:
        table: of the paper, such as `"table3"`.
        results, gaps: one row a network and perturbation, one row a network; see `evaluation.result_row` and `gap_row`.
        paper_networks: name of a network of ours → scheme and depth of the paper's one that it stands for.

    Returns:
        One row a cell: `network`, `outcome`, `paper_mean`, `paper_std`, `mean`, `std` (over seeds), `difference` (ours −
        the paper's), `verdict`: whether the difference is within √(std² + paper_std²), or why that cannot be said.
    """
    cells = {(c["scheme"], c["depth"], c["outcome"]): c for c in paper_results(table).to_dict("records")}
    ours = [by_scheme(results, "accuracy").rename(columns={"perturbation": "outcome"})]
    ours += [by_scheme(gaps, c, ["network"]).assign(outcome=c) for c in ("train_accuracy", "test_accuracy", "gap")]
    rows = []
    outcomes = {outcome for _, _, outcome in cells} or {"clean"}
    for row in pd.concat(ours, ignore_index=True).to_dict("records"):
        if row["outcome"] not in outcomes:
            continue
        scheme, depth = paper_networks[row["network"]]
        cell = cells.get((scheme, depth, row["outcome"]))
        paper_mean, paper_std = (cell["mean"], cell["std"]) if cell else (math.nan, math.nan)
        difference = row["mean"] - paper_mean
        rows.append(
            {
                "network": row["network"],
                "outcome": row["outcome"],
                "paper_mean": paper_mean,
                "paper_std": paper_std,
                "mean": row["mean"],
                "std": row["std"],
                "difference": difference,
                "verdict": _verdict(cell is not None, difference, row["std"], paper_std),
            }
        )
    return pd.DataFrame(rows)


def _verdict(in_paper: bool, difference: float, std: float, paper_std: float) -> str:
    if not in_paper:
        return "the paper gives no figure"
    if math.isnan(paper_std):
        return "the paper gives no spread"
    if math.isnan(std):
        return "no spread here: one seed"
    return "within the combined spread" if abs(difference) <= math.hypot(std, paper_std) else "outside the combined spread"
