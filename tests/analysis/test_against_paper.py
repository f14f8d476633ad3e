from __future__ import annotations

import pandas as pd
import pytest

from robustbench_zs.analysis.against_paper import accuracy_cells, against_paper
from robustbench_zs.paper import paper_results
from robustbench_zs.schemes import scheme_from_name
from robustbench_zs.schemes.trainable import TRAINABLE


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
        ("table5", "zerosnet-opt", 50, "clean(top=5)", 92.03, float("nan")),
        ("table8", "lm-original", 110, "parameters (millions)", 1.14, float("nan")),
        ("table9", "euler", 20, "test, batch 4096", 212, float("nan")),
        ("table10", "table10-3", 56, "modulus 1", 4.24, float("nan")),
    ],
)
def test_cells_are_those_of_the_paper(table: str, scheme: str, depth: int, outcome: str, mean: float, std: float) -> None:
    assert cell(table, scheme, depth, outcome) == pytest.approx((mean, std), nan_ok=True)


CELLS = {"table1": 5, "table2": 4, "table3": 30, "table4": 40, "table5": 12, "table6": 70, "table7": 45, "table8": 15}
CELLS |= {"table9": 12, "table10": 40, "figure4": 0}


@pytest.mark.parametrize(("table", "cells"), CELLS.items())
def test_no_cell_is_missing(table: str, cells: int) -> None:
    found = paper_results(table)
    assert len(found) == cells
    assert not found.duplicated(["dataset", "scheme", "depth", "outcome"]).any()
    for name in set(found["scheme"]) - {"resnet", *TRAINABLE}:
        scheme_from_name(name)


def test_gaps_of_table_7_are_differences_up_to_rounding() -> None:
    cells = paper_results("table7").pivot_table("mean", ["scheme", "depth"], "outcome")
    assert (cells["train_accuracy"] - cells["test_accuracy"] - cells["gap"]).abs().max() < 0.011


def results(*accuracies: float, dataset: str = "cifar10") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "network": "n",
                "dataset": dataset,
                "perturbation": "clean",
                "scheme": "euler",
                "moduli": [1.0],
                "zero_stable": True,
                "accuracy": a,
            }
            for a in accuracies
        ]
    )


def gaps(dataset: str = "cifar10") -> pd.DataFrame:
    row = {"network": "n", "dataset": dataset, "scheme": "euler", "moduli": [1.0], "zero_stable": True}
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
    found = against_paper(table, accuracy_cells(results(*accuracies), gaps()), {"n": network})
    assert found["verdict"].tolist() == [verdict]


def test_table_7_has_no_spread() -> None:
    found = against_paper(
        "table7", accuracy_cells(results(70.0, dataset="cifar100"), gaps("cifar100")), {"n": ("table10-8", 110)}
    ).set_index("outcome")
    assert set(found.index) == {"train_accuracy", "test_accuracy", "gap"}
    assert found.loc["gap", "difference"] == pytest.approx(29.0 - 24.75)
    assert set(found["verdict"]) == {"the paper gives no spread"}


def test_counted_numbers_agree_up_to_a_tolerance() -> None:
    names = {f"zerosnet{d}-opt": ("zerosnet-opt", d) for d in (20, 32, 110)}
    ours = pd.DataFrame(
        {
            "network": list(names),
            "dataset": "cifar10",
            "outcome": "parameters (millions)",
            "mean": [0.277402, 0.471834, 1.80],
            "std": float("nan"),
        }
    )
    found = against_paper("table8", ours, names, tolerance=0.015)
    assert found["verdict"].tolist() == ["equal as printed", "within 0.015", "differs; the paper gives no spread"]


def test_a_cell_belongs_to_its_dataset() -> None:
    cells = accuracy_cells(results(92.0, 92.2), gaps())
    names = {"n": ("zerosnet-opt", 20)}
    assert against_paper("table4", cells, names)["paper_mean"].tolist() == [92.01]
    assert against_paper("table4", cells.assign(dataset="cifar100"), names)["paper_mean"].tolist() == [69.88]
    assert against_paper("table4", cells.assign(dataset="mnist"), names)["verdict"].tolist() == ["the paper gives no figure"]
