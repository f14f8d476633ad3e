from __future__ import annotations

import pandas as pd
import pytest

from robustbench_zs.analysis.against_paper import against_paper
from robustbench_zs.paper import paper_results
from robustbench_zs.schemes import scheme_from_name


def cell(table: str, scheme: str, depth: int, outcome: str) -> tuple[float, float]:
    rows = paper_results(table).to_dict("records")
    (found,) = (r for r in rows if (r["scheme"], r["depth"], r["outcome"]) == (scheme, depth, outcome))
    return found["mean"], found["std"]


# Read from the printed tables.
@pytest.mark.parametrize(
    ("table", "scheme", "depth", "outcome", "mean", "std"),
    [
        ("table1", "preresnet:alpha=2", 32, "clean", 79.13, 0.30),
        ("table1", "euler", 32, "clean", 93.19, 0.17),
        ("table2", "lm:k=-0.5", 44, "clean", 92.95, 0.24),
        ("table3", "table10-4", 44, "clean", 83.08, 0.58),
        ("table3", "table10-10", 56, "clean", 94.04, 0.12),
        ("table6", "table10-1", 56, "gaussian(delta=0.04)", 50.76, 3.94),
        ("table6", "table10-9", 56, "uniform(low=-0.08, high=0)", 87.76, 0.31),
        ("table7", "zerosnet-opt", 326, "gap", 20.69, float("nan")),
        ("table7", "table10-5", 164, "train_accuracy", 98.77, float("nan")),
    ],
)
def test_cells_are_those_of_the_paper(table: str, scheme: str, depth: int, outcome: str, mean: float, std: float) -> None:
    assert cell(table, scheme, depth, outcome) == pytest.approx((mean, std), nan_ok=True)


@pytest.mark.parametrize(
    ("table", "cells"), [("table1", 5), ("table2", 4), ("table3", 30), ("table6", 70), ("table7", 45), ("figure4", 0)]
)
def test_no_cell_is_missing(table: str, cells: int) -> None:
    found = paper_results(table)
    assert len(found) == cells
    assert not found.duplicated(["scheme", "depth", "outcome"]).any()
    for name in found["scheme"]:
        scheme_from_name(name)


def test_gaps_of_table_7_are_differences_up_to_rounding() -> None:
    cells = paper_results("table7").pivot_table("mean", ["scheme", "depth"], "outcome")
    assert (cells["train_accuracy"] - cells["test_accuracy"] - cells["gap"]).abs().max() < 0.011


def results(*accuracies: float) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"network": "n", "perturbation": "clean", "scheme": "euler", "moduli": [1.0], "zero_stable": True, "accuracy": a}
            for a in accuracies
        ]
    )


def gaps() -> pd.DataFrame:
    row = {"network": "n", "scheme": "euler", "moduli": [1.0], "zero_stable": True}
    return pd.DataFrame([{**row, "train_accuracy": 99.0, "test_accuracy": 70.0, "gap": 29.0}])


@pytest.mark.parametrize(
    ("table", "network", "accuracies", "verdict"),
    [
        # The paper has 93.19 ± 0.17; two runs 0.2 apart have s = 0.1414, and √(0.17² + 0.1414²) = 0.2211.
        ("table1", ("euler", 32), (93.31, 93.51), "within the combined spread"),
        ("table1", ("euler", 32), (93.32, 93.52), "outside the combined spread"),
        ("table1", ("euler", 32), (92.87, 93.07), "within the combined spread"),
        ("table1", ("euler", 32), (93.19,), "no spread here: one seed"),
        ("table1", ("euler", 20), (93.19, 93.19), "the paper gives no figure"),
        ("figure4", ("table10-1", 56), (50.0, 51.0), "the paper gives no figure"),
    ],
)
def test_what_is_said_of_a_cell(table: str, network: tuple[str, int], accuracies: tuple[float, ...], verdict: str) -> None:
    found = against_paper(table, results(*accuracies), gaps(), {"n": network})
    assert found["verdict"].tolist() == [verdict]


def test_table_7_has_no_spread() -> None:
    found = against_paper("table7", results(70.0), gaps(), {"n": ("table10-8", 110)}).set_index("outcome")
    assert set(found.index) == {"train_accuracy", "test_accuracy", "gap"}
    assert found.loc["gap", "difference"] == pytest.approx(29.0 - 24.75)
    assert set(found["verdict"]) == {"the paper gives no spread"}
