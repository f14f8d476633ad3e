from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from robustbench_zs.analysis import effect_sizes, network_outcomes, predictor_comparison
from robustbench_zs.analysis.predictors import PREDICTORS
from robustbench_zs.reporting.figures import (
    accuracy_against_level,
    accuracy_by_roots,
    degradation_against_modulus,
    png,
    roots_in_the_plane,
)
from robustbench_zs.reporting.tables import (
    FLAG,
    best_predictor_table,
    effect_table,
    every_network,
    interval,
    markdown,
    moduli_text,
    p_value,
    predictor_table,
    spread,
    table_6,
    table_7,
)
from robustbench_zs.schemes import MultistepScheme, catalog


@pytest.fixture
def results() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "network": network,
            "scheme": network,
            "moduli": moduli,
            "zero_stable": moduli[0] <= 1,
            "seed": seed,
            "perturbation": perturbation,
            "engine": "foolbox" if perturbation.startswith("pgd") else None,
            "ci_low": accuracy - 1,
            "ci_high": accuracy + 1,
            "accuracy": accuracy + seed,
            "drop": 90 - accuracy,
        }
        for network, moduli in (("a", [1.0, 0.5]), ("b", [2.0]))
        for seed in (0, 1)
        for perturbation, accuracy in (("clean", 90.0), ("gaussian(delta=0.1)", 80.0), ("pgd(eps=8/255, steps=10)", 30.0))
    )


def test_table_6_has_mean_and_deviation_over_seeds(results: pd.DataFrame) -> None:
    table = table_6(results)
    assert list(table.columns[:4]) == ["Network", "Moduli of roots", "Z. stab.", "clean"]
    assert list(table["clean"]) == ["90.50 ± 0.71"] * 2
    assert list(table["Z. stab."]) == ["yes", "no"]


def test_table_7_has_the_gap(results: pd.DataFrame) -> None:
    gaps = results[results["perturbation"] == "clean"].assign(train_accuracy=100.0, test_accuracy=90.0, gap=10.0)
    assert list(table_7(gaps)["Gap"]) == ["10.00 ± 0.00"] * 2


def test_what_is_missing_is_a_dash() -> None:
    assert spread(None, None) == "–"
    assert spread(1.0, float("nan")) == "1.00"
    assert interval(None, 1.0) == "–"
    assert moduli_text(None) == "–"


def test_markdown_escapes_cells() -> None:
    assert "a\\|b" in markdown(pd.DataFrame({"Network": ["a|b"]}))
    assert "<script" not in markdown(pd.DataFrame({"Network": ["<script>"]}))


def test_figures_are_pictures_and_always_the_same(results: pd.DataFrame) -> None:
    figure = degradation_against_modulus(results)
    again = degradation_against_modulus(results)
    assert figure is not None
    assert again is not None
    assert png(figure) == png(again)
    assert accuracy_against_level(results) is None  # one level of each kind makes no line
    two = pd.concat([results, results.assign(perturbation="gaussian(delta=0.2)")])
    assert accuracy_against_level(two) is not None


def test_accuracies_stand_over_their_moduli_with_deviations(results: pd.DataFrame) -> None:
    figure = accuracy_by_roots(results)
    assert figure is not None
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1.00\n0.50", "2.00"]
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in axis.get_lines()])
    heights = sorted(set(drawn[np.isfinite(drawn)].round(4).tolist()))
    assert heights[0] == pytest.approx(90.5 - 0.7071, abs=1e-3)  # seeds 90 and 91
    assert heights[-1] == pytest.approx(90.5 + 0.7071, abs=1e-3)
    assert 90.5 in heights
    assert accuracy_by_roots(results.assign(moduli=None)) is None


def test_roots_are_drawn_for_any_scheme() -> None:
    assert png(roots_in_the_plane(catalog()))[:4] == b"\x89PNG"
    assert png(roots_in_the_plane({"one": MultistepScheme([0])}))[:4] == b"\x89PNG"


def test_the_best_predictor_is_bold_and_tables_show_intervals(results: pd.DataFrame) -> None:
    named = results.assign(network=results["network"].map({"a": "zerosnet56-opt", "b": "preresnet56:alpha=2"}))
    outcomes = network_outcomes(named.assign(clean_accuracy=90.0, classes=10), named.head(0).assign(gap=[]))
    comparison = predictor_comparison(outcomes)
    table = predictor_table(comparison).set_index("Outcome")
    best = comparison[comparison["best"]]
    assert len(best)
    for outcome, row in table.iterrows():
        assert sum(str(cell).startswith("**") for cell in row) == (best["outcome"] == outcome).sum()
    assert {"largest modulus", *best["predictor"].map(PREDICTORS)} == set(best_predictor_table(comparison)["Predictor"])
    shifts = effect_table(effect_sizes(outcomes)).set_index("Outcome")
    assert shifts.loc["clean accuracy", "Shift"] == "0.00"  # one scheme a side: no interval
    assert shifts.loc["clean accuracy", "Schemes"] == "1 and 1"


def test_small_p_values_are_not_printed_as_zero() -> None:
    assert [p_value(v) for v in (0.0004, 0.0123, None, float("nan"))] == ["< 0.001", "0.012", "–", "–"]


def test_robust_accuracies_of_flagged_networks_carry_the_flag(results: pd.DataFrame) -> None:
    for table in (table_6(results, ["a"]), every_network(results, ["a"])):
        for _, row in table.iterrows():
            for label, cell in row.items():
                assert (FLAG in str(cell)) == (row["Network"] == "a" and str(label).startswith("pgd"))
