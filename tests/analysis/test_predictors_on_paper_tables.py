"""Fed with the paper's own tables the comparison of predictors gives what they imply."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu, spearmanr

from robustbench_zs.analysis import (
    comparison_sentences,
    effect_size,
    effect_sizes,
    modulus_correlations,
    network_outcomes,
    predictor_comparison,
)
from robustbench_zs.analysis.network_outcomes import relative_drop
from robustbench_zs.analysis.predictors import PREDICTORS, network_predictors, scheme_predictors
from robustbench_zs.networks.spec import NetworkSpec, default_block
from robustbench_zs.paper import paper_results
from robustbench_zs.schemes import MultistepScheme, scheme_from_name

NO_GAPS = pd.DataFrame(columns=["network", "moduli", "zero_stable", "gap"])


def network(scheme: str, depth: int) -> dict[str, object]:
    spec = NetworkSpec(scheme_from_name(scheme), depth, default_block(depth))
    assert spec.fixed_scheme is not None
    return {"network": spec.name, "moduli": list(spec.fixed_scheme.moduli), "zero_stable": spec.fixed_scheme.zero_stable}


def accuracies(table: str) -> pd.DataFrame:
    """A table of accuracies as rows of results, without a number of classes."""
    cells = paper_results(table)
    clean = {(c["scheme"], c["depth"]): c["mean"] for c in cells.to_dict("records") if c["outcome"] == "clean"}
    return pd.DataFrame(
        {
            **network(c["scheme"], c["depth"]),
            "perturbation": c["outcome"],
            "accuracy": c["mean"],
            "clean_accuracy": clean[c["scheme"], c["depth"]],
            "drop": clean[c["scheme"], c["depth"]] - c["mean"],
        }
        for c in cells.to_dict("records")
    )


@pytest.fixture(scope="module")
def table_6() -> pd.DataFrame:
    return network_outcomes(accuracies("table6").assign(classes=10), NO_GAPS)


@pytest.fixture(scope="module")
def comparison(table_6: pd.DataFrame) -> pd.DataFrame:
    return predictor_comparison(table_6)


def of(comparison: pd.DataFrame, outcome: str) -> Any:
    """The rows of an outcome by predictor."""
    return comparison[comparison["outcome"] == outcome].set_index("predictor")


@pytest.mark.parametrize(
    ("predictor", "rho"), [("largest_modulus", "0.83"), ("impulse_supremum", "0.90"), ("amplification", "0.92")]
)
def test_rank_correlations_with_the_drop_of_table_6(comparison: pd.DataFrame, predictor: str, rho: str) -> None:
    row = of(comparison, "drop, gaussian(delta=0.02)").loc[predictor]
    assert f"{row['rho']:.2f}" == rho
    assert (row["networks"], row["schemes"]) == (10, 10)
    assert row["rho_low"] > 0
    assert row["rho_p"] < 0.01


def test_the_best_predictor_of_table_6_and_that_its_lead_is_noise(comparison: pd.DataFrame) -> None:
    rows = of(comparison, "drop, gaussian(delta=0.02)")
    assert rows.index[rows["best"]].tolist() == ["noise_gain"]
    best = rows.loc["noise_gain"]
    assert f"{best['difference']:.2f}" == "0.10"
    assert best["difference_low"] <= 0 < best["difference_high"]
    (sentence,) = (s for s in comparison_sentences(comparison) if s.startswith("Drop, gaussian(delta=0.02)"))
    assert "the noise gain predicts it best, ρ = 0.93; the largest modulus has ρ = 0.83" in sentence
    assert "within noise" in sentence


def test_every_correlation_is_scipys_on_the_table(comparison: pd.DataFrame, table_6: pd.DataFrame) -> None:
    group = table_6[table_6["outcome"] == "drop, constant(mu=0.3)"]
    for name, row in of(comparison, "drop, constant(mu=0.3)").iterrows():
        predictors = [network_predictors(n, m) for n, m in zip(group["network"], group["moduli"], strict=True)]
        x = np.array([p.values[str(name)] for p in predictors if p is not None], float)
        assert row["rho"] == pytest.approx(spearmanr(x, group["value"].round(9)).statistic)


def test_the_modulus_agrees_with_the_table_of_correlations(comparison: pd.DataFrame) -> None:
    rows: Any = modulus_correlations(accuracies("table6"), "drop").set_index("perturbation")
    for label in ("gaussian(delta=0.02)", "constant(mu=0.3)"):
        found = of(comparison, f"drop, {label}").loc["largest_modulus"]
        expected = rows.loc[label]
        assert found[["rho", "rho_low", "rho_high"]].tolist() == pytest.approx(
            expected[["rho", "ci_low", "ci_high"]].tolist()
        )


@pytest.mark.parametrize(
    ("table", "depth"), [("table1", 32), ("table2", 44), ("table3", 32), ("table3", 44), ("table3", 56)]
)
def test_accuracy_falls_with_the_modulus_in_tables_1_2_and_3(table: str, depth: int) -> None:
    results = accuracies(table)
    results = results[[f"{depth}" in n for n in results["network"]]]
    assert len(results) >= 4
    row = of(predictor_comparison(network_outcomes(results, NO_GAPS)), "clean accuracy").loc["largest_modulus"]
    assert row["rho"] < -0.5
    assert row["schemes"] == len(results)


def test_table_3_as_a_whole_clusters_its_depths_by_scheme() -> None:
    found = of(predictor_comparison(network_outcomes(accuracies("table3"), NO_GAPS)), "clean accuracy")
    assert (found.loc["largest_modulus", ["networks", "schemes"]] == [30, 10]).all()
    assert found.loc["largest_modulus", "rho_high"] < 0
    assert found.loc["largest_modulus", "rho_p"] < 0.05


@pytest.mark.parametrize("depth", [56, 164, 326])
def test_gap_of_table_7_grows_with_the_parasitic_modulus_alone(depth: int) -> None:
    # Its three schemes all have largest modulus 1, so that says nothing; the others are 0.87, 0.52 and 0.33.
    cells = paper_results("table7").pivot_table("mean", ["scheme", "depth"], "outcome").reset_index()
    rows = cells[cells["depth"] == depth].to_dict("records")
    gaps = pd.DataFrame({**network(r["scheme"], depth), "gap": r["gap"], "test_accuracy": r["test_accuracy"]} for r in rows)
    results = accuracies("table3").head(0)
    comparison = predictor_comparison(network_outcomes(results, gaps))
    found = of(comparison, "generalization gap")
    assert math.isnan(found.loc["largest_modulus", "rho"])
    assert found.loc["parasitic_modulus", "rho"] == pytest.approx(1)
    assert found["rho_low"].isna().all()  # three schemes
    (sentence,) = comparison_sentences(comparison)
    assert "predicts it best, ρ = 1.00" in sentence or "predicts it best, ρ = -1.00" in sentence
    assert "the largest modulus is the same for all networks" in sentence
    assert found.loc["parasitic_modulus", "rho_p"] == pytest.approx(2 / 6)  # two of the six orders are as extreme


def test_given_clean_accuracy_by_its_formula(comparison: pd.DataFrame, table_6: pd.DataFrame) -> None:
    group = table_6[table_6["outcome"] == "drop, gaussian(delta=0.02)"]
    x = [round(max(m), 9) for m in group["moduli"]]
    xy, xz, yz = (
        spearmanr(a, b).statistic
        for a, b in ((x, group["value"]), (x, group["clean_accuracy"]), (group["value"], group["clean_accuracy"]))
    )
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    assert of(comparison, "drop, gaussian(delta=0.02)").loc["largest_modulus", "partial"] == pytest.approx(expected)
    assert math.isnan(of(comparison, "clean accuracy").loc["largest_modulus", "partial"])


def test_relative_drops_of_table_6(table_6: pd.DataFrame) -> None:
    found = table_6[table_6["outcome"] == "relative drop, gaussian(delta=0.02)"].set_index("network")["value"]
    assert found["table10-1:depth=56"] == pytest.approx((78.29 - 70.65) / (78.29 - 10))
    assert not network_outcomes(accuracies("table6"), NO_GAPS)["kind"].eq("relative drop").any()  # classes not known
    assert relative_drop(2.0, 10.5, 10) is None  # half a point above chance


def test_zero_stability_of_table_6_as_an_effect_size(table_6: pd.DataFrame) -> None:
    found: Any = effect_sizes(table_6).set_index("outcome")
    group = table_6[table_6["outcome"] == "drop, uniform(low=-0.08, high=0)"]
    sides = [group.loc[group["zero_stable"] == verdict, "value"] for verdict in (False, True)]
    row = found.loc["drop, uniform(low=-0.08, high=0)"]
    assert row["shift"] == pytest.approx(np.median([a - b for a in sides[0] for b in sides[1]]))
    assert row["shift_low"] > 0
    assert row["cliffs_delta"] == 1  # every non-zero-stable scheme loses more than every zero-stable one
    assert row["p_value"] == pytest.approx(2 / math.comb(10, 4))
    assert (row["non_zero_stable_schemes"], row["zero_stable_schemes"]) == (4, 6)
    assert found.loc["clean accuracy", "cliffs_delta"] == -1


def test_cliffs_delta_is_that_of_mann_and_whitneys_u() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 9, 7).astype(float), generator.integers(0, 9, 5).astype(float)
    found = effect_size(a, b)
    test = mannwhitneyu(a, b)
    assert found.cliffs_delta is not None
    assert found.cliffs_delta == pytest.approx(2 * test.statistic / 35 - 1)
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.delta_low is not None
    assert found.delta_high is not None
    assert found.delta_low <= found.cliffs_delta <= found.delta_high
    two = effect_size(a[:2], b)
    assert two.shift is not None
    assert two.shift_low is None
    assert effect_size(a[:0], b).shift is None


def test_predictors_of_the_scheme_that_amplifies_tenfold() -> None:
    found = scheme_predictors(MultistepScheme(["2.25", "-2", "0.75"], "0.5"), 27, 9)
    assert list(found) == list(PREDICTORS)
    assert found["largest_modulus"] == 1
    assert found["parasitic_modulus"] == pytest.approx(math.sqrt(0.75))
    assert found["outside"] == 0
    assert found["consistency_defect"] == 0
    assert f"{found['amplification']:.1f}" == "9.9"
    assert scheme_predictors(MultistepScheme([1]), 27, 9)["consistency_defect"] is None
    assert scheme_predictors(MultistepScheme(["1.5"], 2), 9, 3)["consistency_defect"] == pytest.approx(0.5 + 1)


def test_unknown_networks_have_no_predictors_or_the_modulus_alone() -> None:
    assert network_predictors("zerosnet56-opt", None) is None
    named_otherwise = network_predictors("mine", [1.5, 0.5])
    assert named_otherwise is not None
    assert {name for name, value in named_otherwise.values.items() if value is not None} == {"largest_modulus"}
    frame = accuracies("table3").assign(moduli=None)
    assert predictor_comparison(network_outcomes(frame, NO_GAPS)).empty
    assert effect_sizes(network_outcomes(frame, NO_GAPS)).empty


def test_a_predictor_that_overflows_somewhere_is_compared_over_the_others() -> None:
    results = accuracies("table1")
    name = "multistep:alphas=1e12 1e12,beta=1,depth=110"
    known = network_predictors(name, [1e12, 1.0])
    assert known is not None
    assert known.values["amplification"] is None
    wild = {"network": name, "moduli": [1e12, 1.0], "zero_stable": False, "perturbation": "clean", "accuracy": 10.0}
    frame = pd.concat([results, pd.DataFrame([wild])], ignore_index=True)
    found = of(predictor_comparison(network_outcomes(frame, NO_GAPS)), "clean accuracy")
    assert found.loc["largest_modulus", "networks"] == 6
    assert found.loc["amplification", "networks"] == 5
    assert math.isnan(found.loc["amplification", "difference"])
    assert not found.loc["amplification", "best"]


def test_three_schemes_have_a_best_predictor_without_an_interval() -> None:
    few = accuracies("table6")
    few = few[few["network"].isin([f"table10-{i}:depth=56" for i in (1, 2, 3)])].assign(classes=10)
    rows = predictor_comparison(network_outcomes(few, NO_GAPS))
    assert rows["difference_high"].dtype == float
    sentences = comparison_sentences(rows)
    assert sentences
    assert all("[" not in sentence for sentence in sentences)
