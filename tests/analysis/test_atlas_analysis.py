"""What an atlas's conclusions rest on: the test, its corrections, reliability, rank models, smooths."""

from __future__ import annotations

from itertools import chain, combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from robustbench_zs.analysis.across_studies import agreement, holm_over_studies
from robustbench_zs.analysis.confirmation import CANDIDATES, Confirmation, confirm, lead
from robustbench_zs.analysis.halves import AtlasHalf
from robustbench_zs.analysis.holm import holm
from robustbench_zs.analysis.predictions import FAILED, HELD, NOT_SEPARATED, NOT_STATED, judge, predictions_of
from robustbench_zs.analysis.predictors import PREDICTORS, scheme_predictors
from robustbench_zs.analysis.rank_regression import cross_validated, fit_ranks, ranks_among
from robustbench_zs.analysis.reliability import ceiling, reliability_interval, spearman_brown
from robustbench_zs.analysis.scheme_means import SchemeMeans
from robustbench_zs.analysis.smooth import smooth, turning_point
from robustbench_zs.schemes.atlas import atlas_names, atlas_scheme

p_values = st.lists(st.sampled_from([0.001, 0.004, 0.01, 0.02, 0.05, 0.2, 0.9]), min_size=1, max_size=3)


def half(strength: float, schemes: int = 60, shared: float = 1.0) -> AtlasHalf:
    """Schemes whose outcome falls with the noise gain; on shared images it rises where `shared` is negative."""
    names = atlas_names("confirmation", schemes)
    predictors = np.array([list(scheme_predictors(atlas_scheme(n), 27, 9).values()) for n in names], float)
    draws = np.random.default_rng(3)
    gain = np.log(predictors[:, list(PREDICTORS).index("noise_gain")])
    y = -strength * (gain - gain.mean()) / gain.std() + draws.normal(size=schemes)
    outcomes = pd.DataFrame({"kind": "x", "family": "robustness", "reliability": np.nan, "networks": schemes}, ["x"])
    clean, zeros = draws.normal(90, 1, schemes), np.zeros(schemes)
    means = SchemeMeans(outcomes, y[:, None], shared * y[:, None], clean, predictors, zeros, zeros.astype(int), tuple(names))
    return AtlasHalf("confirmation", pd.DataFrame(), means, ())


def test_the_test_finds_what_is_there_and_states_a_sign_only_where_the_checks_agree() -> None:
    found = confirm(half(2), "x", draws=4999)
    assert list(found.relations["predictor"]) == list(CANDIDATES)
    row = found.relations.iloc[0]
    x = half(2).means.predictors[:, list(PREDICTORS).index("noise_gain")]
    assert row["rho"] == pytest.approx(spearmanr(x, half(2).value("x")).statistic)
    assert row["rho_low"] < row["rho"] < row["rho_high"]
    assert row["finding"] == "established, falling"
    assert (found.relations["p"] <= found.relations["adjusted"]).all()
    assert found.relations["adjusted_studies"].tolist() == pytest.approx(np.minimum(1, 3 * found.relations["adjusted"]))
    turned = confirm(half(2, shared=-1), "x", draws=4999)
    assert turned.relations["finding"].iloc[0].startswith("no direction: the sign does not hold on images")
    nothing = confirm(half(0), "x", draws=4999)
    assert not nothing.relations["finding"].str.startswith("established").any()


def test_a_lead_turns_its_sign_with_its_predictors_and_is_none_over_itself() -> None:
    draws = np.random.default_rng(0)
    y = draws.normal(size=80)
    a, b = y + draws.normal(size=80), y + 3 * draws.normal(size=80)
    there, back = lead(a, b, y, 999), lead(b, a, y, 999)
    assert there["lead"] == pytest.approx(abs(float(spearmanr(a, y)[0])) - abs(float(spearmanr(b, y)[0])))
    assert there["lead"] == pytest.approx(-back["lead"])
    assert (there["lead_low"], there["lead_high"]) == pytest.approx((-back["lead_high"], -back["lead_low"]))
    assert there["lead_low"] > 0
    same = lead(a, np.exp(a), y, 99)
    assert (same["lead"], same["lead_low"], same["lead_high"]) == pytest.approx((0, 0, 0))


def confirmation(gain: float, modulus: float, lead_low: float, lead_high: float, stated: bool = True) -> Confirmation:
    relations = pd.DataFrame({"predictor": CANDIDATES, "rho": [gain, modulus, 0.1], "rho_low": -0.9, "rho_high": 0.9})
    relations["finding"] = "established, falling" if stated else "not established"
    leads = pd.DataFrame([{"predictor": "noise_gain", "over": "largest_modulus", "lead": 0.1}])
    return Confirmation("x", relations, leads.assign(lead_low=lead_low, lead_high=lead_high))


@pytest.mark.parametrize(
    ("study", "found", "verdicts"),
    [
        ("atlas-digits", confirmation(-0.8, -0.4, 0.1, 0.6), [HELD, HELD, HELD]),
        ("atlas-digits-small", confirmation(-0.4, -0.6, -0.6, -0.1), [FAILED, FAILED, HELD]),
        ("atlas-digits", confirmation(-0.8, -0.4, -0.1, 0.6), [HELD, NOT_SEPARATED, HELD]),
        ("atlas-cifar10", confirmation(0.3, 0.2, 0.1, 0.2), [HELD, HELD, FAILED]),
        ("atlas-cifar10", confirmation(0.3, 0.2, 0.1, 0.2, stated=False), [NOT_STATED, NOT_STATED, FAILED]),
        ("atlas-mnist", confirmation(0.3, 0.2, -0.2, 0.2), [FAILED, NOT_SEPARATED, HELD]),
    ],
)
def test_predictions_hold_or_fail_as_written_down(study: str, found: Confirmation, verdicts: list[str]) -> None:
    assert judge(predictions_of(study), found)["verdict"].tolist() == verdicts
    assert judge(predictions_of("another"), found).empty
    assert judge(predictions_of(study), None).empty


@given(st.lists(p_values, min_size=1, max_size=3))
@settings(max_examples=40)
def test_holm_over_studies_is_the_closed_test(adjusted: list[list[float]]) -> None:
    """Every intersection by Bonferroni over the studies that it touches; its part in a study by its smallest p-value."""
    relations = [(i, j) for i, of_study in enumerate(adjusted) for j in range(len(of_study))]
    subsets = list(chain.from_iterable(combinations(relations, size) for size in range(1, len(relations) + 1)))

    def tested(part: tuple[tuple[int, int], ...]) -> float:
        studies = {i for i, _ in part}
        # Step-down p-values are the largest of the intersections within a study, so the weakest member stands for a part.
        return min(1.0, len(studies) * min(max(adjusted[i][j] for k, j in part if k == i) for i in studies))

    found = holm_over_studies([np.array(p) for p in adjusted])
    for i, j in relations:
        containing = [s for s in subsets if (i, j) in s and all(k != i or m == j for k, m in s)]
        assert found[i][j] == pytest.approx(max(map(tested, containing)))


@given(p_values)
def test_holm_is_the_closed_bonferroni_test(p: list[float]) -> None:
    expected = [
        max(min(1, sum(chosen) * min(v for v, c in zip(p, chosen, strict=True) if c)) for chosen in _with(i, len(p)))
        for i in range(len(p))
    ]
    assert holm(p) == pytest.approx(expected)


def _with(i: int, n: int) -> list[tuple[bool, ...]]:
    return [chosen for chosen in product((True, False), repeat=n) if chosen[i]]


def test_agreement_states_established_signs_alone() -> None:
    eps, lost = "mean smallest ε", "share lost, fgsm(eps=0.1)"
    rows = [
        ("a", "x", eps, 0.5, "established, rising"),
        ("a", "y", eps, -0.5, "established, falling"),
        ("b", "x", lost, 0.5, "established, rising"),
        ("b", "y", eps, -0.5, "established, falling"),
        ("c", "x", eps, -0.5, "no direction: the sign does not hold given the clean accuracy"),
        ("c", "y", eps, 0.1, "not established"),
    ]
    columns = ["predictor", "study", "outcome", "rho", "finding"]
    assert agreement(pd.DataFrame(rows, columns=columns)).set_index("predictor")["signs"].to_dict() == {
        "a": "robustness rises with it in x; robustness falls with it in y",
        "b": "robustness falls with it in both studies",
        "c": "no direction can be stated in x; nothing is established in y",
    }


def test_the_interval_of_reliability_is_that_of_r() -> None:
    """psych::ICC in R on the ratings of Shrout and Fleiss: ICC1 = .17 [−.13, .72] for 6 targets and 4 judges."""
    assert reliability_interval(0.1657, 6, 4) == pytest.approx((-0.133, 0.723), abs=0.002)
    assert np.isnan(reliability_interval(1, 6, 4)).all()


def test_the_ceiling_is_what_a_perfect_predictor_reaches() -> None:
    draws = np.random.default_rng(1)
    truth = draws.normal(size=1500)
    schemes = pd.Series(np.concatenate([np.arange(1500), np.arange(500)]))
    values = pd.Series(truth[schemes] + 0.8 * draws.normal(size=2000))
    found = ceiling(values, schemes)
    assert found.schemes == 500
    assert found.low < found.reliability < found.high
    reached = spearmanr(truth, values.groupby(schemes).mean()).statistic
    assert found.ceiling == pytest.approx(reached, abs=0.03)
    assert spearman_brown(0.5, 2) == pytest.approx(2 / 3)
    assert np.isnan(ceiling(values[:1500], schemes[:1500]).ceiling)


def test_models_of_ranks_find_the_pair_that_makes_the_outcome() -> None:
    x = np.random.default_rng(2).normal(size=(120, 5))
    x[3, 4] = np.nan  # a predictor that some schemes lack is left out
    ranking = cross_validated(x, x[:, 0] + x[:, 2], list("abcde"))
    assert ranking["predictors"].iloc[0] == ("a", "c")
    assert ranking["rho"].iloc[0] > 0.95
    assert len(ranking) == 4 + 6
    noise = cross_validated(x[:, :4], np.random.default_rng(9).normal(size=120), list("abcd"))
    assert noise["rho"].max() < 0.3


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_models_of_ranks_do_not_depend_on_scales(seed: int) -> None:
    draws = np.random.default_rng(seed)
    x, y = draws.normal(size=(30, 2)), draws.normal(size=30)
    assert fit_ranks(np.exp(x), y**3).rank(np.exp(x)) == pytest.approx(fit_ranks(x, y).rank(x))
    assert ranks_among(y, y).mean() == pytest.approx(0.5)
    model = fit_ranks(x, y)
    assert (model.outcome(-1.0), model.outcome(2.0)) == (y.min(), y.max())


def test_a_smooth_of_a_line_over_ranks_is_the_line() -> None:
    x = np.random.default_rng(0).normal(size=101)
    ranks = (x.argsort().argsort() + 0.5) / 101
    line = smooth(x, 3 + 2 * ranks)
    assert line["mean"].to_numpy() == pytest.approx(3 + 2 * line["rank"].to_numpy())
    assert (line["low"] <= line["mean"] + 1e-9).all()
    assert (line["high"] >= line["mean"] - 1e-9).all()
    assert smooth(np.ones(10), np.arange(10.0))["mean"].to_numpy() == pytest.approx(4.5)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, -1]))
@settings(max_examples=10)
def test_where_a_smooth_turns(seed: int, sign: int) -> None:
    """An arch is found where its top is, on a slope too; a line turns nowhere."""
    generator = np.random.default_rng(seed)
    x, noise = generator.normal(size=200), generator.normal(size=200)
    ranks = rankdata(x) / 200
    turn = turning_point(smooth(x, sign * (0.3 * noise - 10 * (ranks - 0.4) ** 2)))
    assert turn is not None
    assert turn[0] == pytest.approx(0.4, abs=0.12)
    assert turn[1] == (sign == 1)
    wave = turning_point(smooth(x, sign * (0.1 * noise + 3 * (ranks < 0.3) * (0.3 - ranks) - 10 * (ranks - 0.6) ** 2)))
    assert wave is not None
    assert wave[0] == pytest.approx(0.6, abs=0.12)
    assert wave[1] == (sign == 1)
    assert turning_point(smooth(x, sign * (5 * ranks + 0.5 * noise))) is None
    assert turning_point(smooth(x, np.zeros(200))) is None
