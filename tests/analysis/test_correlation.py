from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, permutation_test, spearmanr

from robustbench_zs.analysis import RankCorrelation, degradation_by_verdict, rank_correlation
from robustbench_zs.analysis.correlation import correlation_interval, partial_spearman, spearman

values = st.lists(st.integers(-5, 5).map(float), min_size=4, max_size=12)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_rho_is_scipys_with_ties(data: st.DataObject) -> None:
    x = np.array(data.draw(values))
    y = np.array(data.draw(st.lists(st.integers(-5, 5).map(float), min_size=len(x), max_size=len(x))))
    found = spearman(x[:, None], y[:, None])[0, 0]
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(x, y).statistic)


def test_columns_with_gaps_are_correlated_over_what_both_have() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 9, 3))
    x[0, 0] = y[1, 1] = np.nan
    found = spearman(x, y)
    for i in range(3):
        for j in range(3):
            assert found[i, j] == pytest.approx(spearmanr(x[:, i], y[:, j], nan_policy="omit").statistic)


def test_given_a_third_it_is_the_correlation_of_what_a_linear_fit_of_ranks_leaves() -> None:
    x, y, z = np.random.default_rng(1).normal(size=(3, 12))
    ranks = [np.argsort(np.argsort(v)).astype(float) for v in (x, y, z)]
    design = np.column_stack([np.ones(12), ranks[2]])
    left = [r - design @ np.linalg.lstsq(design, r)[0] for r in ranks[:2]]
    found = partial_spearman(x[:, None], y[:, None], z[:, None])[0, 0]
    assert found == pytest.approx(pearsonr(*left).statistic)
    constant = partial_spearman(x[:, None], y[:, None], np.ones((12, 1)))[0, 0]
    assert constant == pytest.approx(spearmanr(x, y).statistic)
    assert math.isnan(partial_spearman(x[:, None], y[:, None], x[:, None])[0, 0])


def test_the_interval_is_that_of_bonett_and_wright() -> None:
    low, high = correlation_interval(-0.66, 10)  # by hand: atanh .66 = .7928, standard error √(1.2178 / 7) = .4171
    assert low == pytest.approx(math.tanh(-0.7928 - 1.96 * 0.4171), abs=1e-4)
    assert high == pytest.approx(math.tanh(-0.7928 + 1.96 * 0.4171), abs=1e-4)
    for rho, n in ((0.5, 3), (1.0, 10), (math.nan, 10)):
        assert all(math.isnan(bound) for bound in correlation_interval(rho, n))


def test_seeds_of_one_scheme_are_no_new_evidence() -> None:
    x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    y = [1.0, 3.0, 2.0, 6.0, 4.0, 5.0]
    assert rank_correlation(x * 10, y * 10, [*range(6)] * 10) == rank_correlation(x, y, range(6))


def test_the_p_value_is_scipys_exact_one() -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 6))
    exact = permutation_test(
        (x,), lambda a: float(spearmanr(a, y).statistic), permutation_type="pairings", n_resamples=10_000
    ).pvalue
    found = rank_correlation(x.tolist(), y.tolist(), range(6))
    assert found.rho == pytest.approx(spearmanr(x, y).statistic)
    assert found.p_value == pytest.approx(exact)


@pytest.mark.parametrize(
    ("x", "y"),
    [([1.0, 2.0], [1.0, 2.0]), ([1.0] * 5, [1.0, 2, 3, 4, 5]), ([1.0, 2, 3, 4], [float("nan"), 1, 2, 3])],
    ids=["two networks", "one modulus", "a NaN"],
)
def test_what_cannot_be_computed_is_none(x: list[float], y: list[float]) -> None:
    found = rank_correlation(x, y, range(len(x)))
    assert (found.rho, found.low, found.high, found.p_value) == (None, None, None, None)
    assert "cannot be computed" in found.finding


@pytest.mark.parametrize(
    ("rho", "p", "schemes", "finding"),
    [
        (0.9, 0.2, 10, "not established"),
        (0.9, 0.01, 10, "positive relation"),
        (-0.9, 0.01, 10, "negative relation"),
        (0.9, 0.01, 5, "not established: fewer than 6 schemes"),
    ],
)
def test_finding_says_what_the_p_value_allows(rho: float, p: float, schemes: int, finding: str) -> None:
    assert RankCorrelation(rho, 0, 1, p, schemes).finding == finding


def test_a_side_without_networks_is_null() -> None:
    frame = pd.DataFrame(
        {"network": ["a"], "scheme": ["a"], "moduli": [[1.0]], "zero_stable": [True], "perturbation": ["p"], "drop": [3.0]}
    )
    row = degradation_by_verdict(frame).iloc[0]
    assert row["zero_stable"] == 3.0
    assert row["non_zero_stable"] is None
    assert row["difference"] is None
