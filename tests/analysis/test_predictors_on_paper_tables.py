"""Fed with the paper's own tables the conclusions are what they imply."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu, spearmanr

from robustbench_zs.analysis import Conclusions, conclude, network_outcomes
from robustbench_zs.analysis.conclusions import RELATION_COLUMNS
from robustbench_zs.analysis.network_outcomes import relative_drop
from robustbench_zs.analysis.predictors import PREDICTORS, network_predictors, scheme_predictors
from robustbench_zs.analysis.words import summary_sentences
from robustbench_zs.networks.spec import NetworkSpec, default_block
from robustbench_zs.paper import paper_results
from robustbench_zs.schemes import MultistepScheme, scheme_from_name

NO_GAPS = pd.DataFrame(columns=["network", "moduli", "zero_stable", "gap"])
GAUSSIAN = "share lost, gaussian(delta=0.02)"
DRAWS = 1_999


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
def conclusions(table_6: pd.DataFrame) -> Conclusions:
    return conclude(table_6)


def of(frame: pd.DataFrame, outcome: str) -> Any:
    """The rows of an outcome by predictor."""
    return frame[frame["outcome"] == outcome].set_index("predictor")


def test_rank_correlations_of_table_6_are_scipys(conclusions: Conclusions, table_6: pd.DataFrame) -> None:
    group = table_6[table_6["outcome"] == GAUSSIAN]
    found = of(conclusions.predictors, GAUSSIAN)
    assert list(found.index) == list(PREDICTORS)
    for name, row in found.iterrows():
        predictors = [network_predictors(n, m) for n, m in zip(group["network"], group["moduli"], strict=True)]
        x = np.array([p.values[str(name)] for p in predictors if p is not None], float)
        assert row["rho"] == pytest.approx(spearmanr(x, group["value"].round(9)).statistic)
    assert found.loc["largest_modulus", "p"] < 0.01
    assert found.loc["largest_modulus", "schemes"] == 10


def test_accuracies_alone_establish_no_direction_of_robustness(conclusions: Conclusions) -> None:
    """Whether the same images are lost is not in the paper's tables."""
    rows: Any = conclusions.modulus.set_index("outcome")
    assert rows.loc[GAUSSIAN, "adjusted"] <= 0.05
    assert rows.loc[GAUSSIAN, "finding"] == "no direction: not known on images that nearly all networks classify correctly"
    assert conclusions.together["all"] < 0.05


def test_the_best_of_table_6_is_adjusted_for_all_pairs_and_not_separated(conclusions: Conclusions) -> None:
    best: Any = conclusions.best.set_index("outcome")
    row = best.loc[GAUSSIAN]
    assert row["best"] != "largest_modulus"
    assert row["other"] == "largest_modulus"
    assert row["between"] > 0.7
    assert pd.isna(row["lead"])  # ten schemes
    assert row["adjusted_of"] == 6 * len(PREDICTORS)
    alone = of(conclusions.modulus, GAUSSIAN)["adjusted"].item()
    assert of(conclusions.predictors, GAUSSIAN).loc["largest_modulus", "adjusted"] >= alone


@pytest.mark.parametrize(
    ("table", "depth"), [("table1", 32), ("table2", 44), ("table3", 32), ("table3", 44), ("table3", 56)]
)
def test_accuracy_falls_with_the_modulus_in_tables_1_2_and_3(table: str, depth: int) -> None:
    results = accuracies(table)
    results = results[[f"{depth}" in n for n in results["network"]]]
    assert len(results) >= 4
    row = of(conclude(network_outcomes(results, NO_GAPS), DRAWS).modulus, "clean accuracy").loc["largest_modulus"]
    assert row["rho"] < -0.5
    assert row["schemes"] == len(results)
    assert row["finding"].startswith("not established: fewer" if len(results) < 6 else ("established", "not"))


def test_table_3_as_a_whole_has_one_value_a_scheme() -> None:
    found = of(conclude(network_outcomes(accuracies("table3"), NO_GAPS), DRAWS).modulus, "clean accuracy")
    assert (found.loc["largest_modulus", ["networks", "schemes"]] == [30, 10]).all()
    assert found.loc["largest_modulus", "rho_high"] < 0
    assert found.loc["largest_modulus", "finding"] == "established, falling"


@pytest.mark.parametrize("depth", [56, 164, 326])
def test_gap_of_table_7_grows_with_the_parasitic_modulus_alone(depth: int) -> None:
    # Its three schemes all have largest modulus 1, so that says nothing; the others are 0.87, 0.52 and 0.33.
    cells = paper_results("table7").pivot_table("mean", ["scheme", "depth"], "outcome").reset_index()
    rows = cells[cells["depth"] == depth].to_dict("records")
    gaps = pd.DataFrame({**network(r["scheme"], depth), "gap": r["gap"], "test_accuracy": r["test_accuracy"]} for r in rows)
    found = conclude(network_outcomes(accuracies("table3").head(0), gaps))
    relations = of(found.predictors, "generalization gap")
    assert math.isnan(relations.loc["largest_modulus", "rho"])
    assert relations.loc["parasitic_modulus", "rho"] == pytest.approx(1)
    assert relations["rho_low"].isna().all()  # three schemes
    assert relations.loc["parasitic_modulus", "p"] == pytest.approx(2 / 6)  # two of the six orders are as extreme
    assert relations.loc["parasitic_modulus", "finding"] == "not established: fewer than 6 schemes"
    assert "3 schemes cannot establish anything: that takes at least 6." in summary_sentences(found)


def test_given_clean_accuracy_by_its_formula(conclusions: Conclusions, table_6: pd.DataFrame) -> None:
    group = table_6[table_6["outcome"] == GAUSSIAN]
    x = [round(max(m), 9) for m in group["moduli"]]
    xy, xz, yz = (
        spearmanr(a, b).statistic
        for a, b in ((x, group["value"]), (x, group["clean_accuracy"]), (group["value"], group["clean_accuracy"]))
    )
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    rows: Any = conclusions.modulus.set_index("outcome")
    assert rows.loc[GAUSSIAN, "partial_rho"] == pytest.approx(expected)
    assert math.isnan(rows.loc["clean accuracy", "partial_rho"])


def test_relative_drops_of_table_6(table_6: pd.DataFrame) -> None:
    found = table_6[table_6["outcome"] == "relative drop, gaussian(delta=0.02)"].set_index("network")["value"]
    assert found["table10-1:depth=56"] == pytest.approx((78.29 - 70.65) / (78.29 - 10))
    assert not network_outcomes(accuracies("table6"), NO_GAPS)["kind"].eq("relative drop").any()  # classes not known
    assert relative_drop(2.0, 10.5, 10) is None  # half a point above chance


def test_zero_stability_of_table_6_as_an_effect_size(conclusions: Conclusions, table_6: pd.DataFrame) -> None:
    found: Any = conclusions.effects.set_index("outcome")
    group = table_6[table_6["outcome"] == GAUSSIAN]
    sides = [group.loc[group["zero_stable"] == verdict, "value"].to_numpy() for verdict in (False, True)]
    row = found.loc[GAUSSIAN]
    assert row["shift"] == pytest.approx(np.median([a - b for a in sides[0] for b in sides[1]]))
    assert row["shift_low"] > 0
    assert row["cliffs_delta"] == 1  # every non-zero-stable scheme loses more than every zero-stable one
    assert row["p"] == pytest.approx(mannwhitneyu(sides[0], sides[1], method="exact").pvalue, abs=0.001)
    assert (row["non_zero_stable_schemes"], row["zero_stable_schemes"]) == (4, 6)
    assert found.loc["clean accuracy", "cliffs_delta"] == -1


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


def test_schemes_are_the_same_where_their_coefficients_are_whatever_their_names() -> None:
    first, again = (network_predictors(name, [1.0]) for name in ("zerosnet56-opt", "zerosnet56:lambda=-9/5"))
    by_name = network_predictors("table10-10:depth=20", [1.0])
    other = network_predictors("zerosnet56:lambda=-1.8001", [1.0])
    assert first is not None
    assert again is not None
    assert by_name is not None
    assert other is not None
    assert first.scheme == again.scheme == by_name.scheme != other.scheme


def test_unknown_networks_have_no_predictors_or_the_modulus_alone() -> None:
    assert network_predictors("zerosnet56-opt", None) is None
    named_otherwise = network_predictors("mine", [1.5, 0.5])
    assert named_otherwise is not None
    assert {name for name, value in named_otherwise.values.items() if value is not None} == {"largest_modulus"}
    found = conclude(network_outcomes(accuracies("table3").assign(moduli=None), NO_GAPS))
    assert found.predictors.empty
    assert list(found.predictors.columns) == RELATION_COLUMNS
    assert found.effects.empty
    assert summary_sentences(found) == []


def test_a_predictor_that_overflows_somewhere_is_compared_over_the_others() -> None:
    name = "multistep:alphas=1e12 1e12,beta=1,depth=110"
    known = network_predictors(name, [1e12, 1.0])
    assert known is not None
    assert known.values["amplification"] is None
    wild = {"network": name, "moduli": [1e12, 1.0], "zero_stable": False, "perturbation": "clean", "accuracy": 10.0}
    frame = pd.concat([accuracies("table1"), pd.DataFrame([wild])], ignore_index=True)
    found = conclude(network_outcomes(frame, NO_GAPS))
    relations = of(found.predictors, "clean accuracy")
    assert relations.loc["largest_modulus", "schemes"] == 6
    assert relations.loc["amplification", "schemes"] == 5
    assert found.best["best"].tolist() != ["amplification"]
