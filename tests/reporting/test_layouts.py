from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from robustbench_zs.analysis import conclude, network_outcomes
from robustbench_zs.analysis.predictors import PREDICTORS
from robustbench_zs.analysis.words import of_100, p_text, share, share_interval
from robustbench_zs.reporting.cells import interval, markdown, moduli_text, spread
from robustbench_zs.reporting.drawing import png, svg
from robustbench_zs.reporting.figures import accuracy_against_level, robustness_against_modulus
from robustbench_zs.reporting.root_figures import accuracy_by_roots, roots_in_the_plane
from robustbench_zs.reporting.tables import (
    FLAG,
    best_predictor_table,
    correlation_table,
    effect_table,
    every_network,
    predictor_table,
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
    assert list(table.columns[:4]) == ["Network", "Moduli of roots", "Zero-stable", "clean"]
    assert list(table["clean"]) == ["90.50 ± 0.71"] * 2
    assert list(table["Zero-stable"]) == ["yes", "no"]


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
    outcomes = network_outcomes(results.assign(clean_accuracy=90.0), results.head(0).assign(gap=[]))
    figure = robustness_against_modulus(outcomes)
    again = robustness_against_modulus(outcomes)
    assert figure is not None
    assert again is not None
    assert png(figure) == png(again)
    assert svg(figure) == svg(again)
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


def test_the_best_predictor_is_bold_and_tables_say_what_may_be_said(results: pd.DataFrame) -> None:
    named = results.assign(network=results["network"].map({"a": "zerosnet56-opt", "b": "preresnet56:alpha=2"}))
    third = named[named["network"] == "zerosnet56-opt"].assign(
        network="preresnet56:alpha=0.5", accuracy=named["accuracy"] - 3
    )
    named = pd.concat([named, third], ignore_index=True).assign(clean_accuracy=90.0, classes=10)
    conclusions = conclude(network_outcomes(named, named.head(0).assign(gap=[])))
    table = predictor_table(conclusions).set_index("Quantity").T
    assert list(table.columns) == list(PREDICTORS.values())
    best = dict(zip(conclusions.best["outcome"], conclusions.best["best"].notna(), strict=True))
    assert any(best.values())
    for outcome, row in table.iterrows():
        assert sum(str(cell).startswith("**") for cell in row) == best[str(outcome)]
    assert set(correlation_table(conclusions.modulus)["Schemes"]) == {3}
    for shown in (correlation_table(conclusions.modulus), best_predictor_table(conclusions.best)):
        assert set(shown["Finding"]) <= {
            "not established: fewer than 6 schemes",
            "nothing to predict: the schemes do not differ in this",
            "cannot be computed: too few schemes, or all alike",
        }
    shifts = effect_table(conclusions.effects).set_index("Outcome")
    assert shifts.loc["clean accuracy", "Schemes"] == "1 and 2"
    assert "[" not in str(shifts.loc["clean accuracy", "Shift"])  # one scheme on a side: no interval


def test_numbers_are_written_as_statisticians_write_them() -> None:
    assert [p_text(v) for v in (0.0004, 0.0123, 0.0449, 0.0497, 0.05, 0.27, 1.0, None, float("nan"))] == [
        *("< .001", ".012", ".045", ".0497", ".050", ".27", "1.00", "–", "–")
    ]
    assert [of_100(p) for p in (0.0004, 0.0042, 0.0112, 0.0349, 0.27)] == [
        *("fewer than 1 of 1,000", "4 of 1,000", "1 of 100", "4 of 100", "27 of 100")
    ]
    assert [share(v) for v in (-0.66, 0.034, -0.001, 1.0, None)] == ["−.66", ".03", ".00", "1.00", "–"]
    assert share_interval(-0.923, 0.031) == "[−.92, .03]"
    assert share_interval(float("nan"), 1.0) == "–"


def test_robust_accuracies_of_flagged_networks_carry_the_flag(results: pd.DataFrame) -> None:
    for table in (table_6(results, ["a"]), every_network(results, ["a"])):
        for _, row in table.iterrows():
            for label, cell in row.items():
                assert (FLAG in str(cell)) == (row["Network"] == "a" and str(label).startswith("pgd"))
