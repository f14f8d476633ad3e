from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from robustbench_zs.analysis import permutation
from robustbench_zs.analysis.permutation import DRAWS, joint_test


def step_down(x: np.ndarray, y: np.ndarray) -> list[float]:
    """Westfall and Young's step-down max-T as their Algorithm 4.1 has it, with scipy's ρ and every permutation."""
    observed = [abs(spearmanr(x, column).statistic) for column in y.T]
    order = np.argsort(observed)  # from the least significant on
    counts = np.zeros(len(observed))
    all_of_them = list(permutations(range(len(x))))
    for rows in all_of_them:
        largest = 0.0
        for place in order:
            largest = max(largest, abs(spearmanr(x[list(rows)], y[:, place]).statistic))
            counts[place] += largest >= observed[place] - 1e-9
    adjusted, most = [0.0] * len(observed), 0.0
    for place in order[::-1]:
        adjusted[place] = most = max(most, counts[place] / len(all_of_them))
    return adjusted


def test_adjusted_p_values_are_those_of_the_algorithm() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=5), generator.normal(size=(5, 3))
    y[:, 0] += 3 * x
    found = joint_test(x[:, None], y, [np.ones((1, 3), bool)])
    assert found.adjusted[0][0] == pytest.approx(step_down(x, y))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=5, max_size=5), st.lists(st.integers(0, 9), min_size=5, max_size=5))
def test_under_the_null_small_p_values_are_as_rare_as_they_say(x: list[int], y: list[int]) -> None:
    # All orders of y are equally likely under the null; the law holds with ties as well.
    if len(set(x)) == 1 or len(set(y)) == 1:
        return
    columns = np.array([*permutations(y)], float).T
    p = joint_test(np.array(x, float)[:, None], columns, []).p[0]
    for level in np.unique(p):
        assert (p <= level).mean() <= level + 1e-9


def test_a_sample_of_permutations_agrees_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(8, 2)), generator.normal(size=(8, 3))
    y[:, 0] += x[:, 0]
    families = [np.ones((2, 3), bool)]
    exact = joint_test(x, y, families, [[0]])
    monkeypatch.setattr(permutation, "MAX_EXACT", 1)
    sample = joint_test(x, y, families, [[0]])
    tolerance = 4 * (0.25 / DRAWS) ** 0.5
    assert sample.p == pytest.approx(exact.p, abs=tolerance)
    assert sample.adjusted[0] == pytest.approx(exact.adjusted[0], abs=tolerance)
    assert sample.together == pytest.approx(exact.together, abs=tolerance)
    assert sample.critical[0] == pytest.approx(exact.critical[0], abs=0.03)
    assert (joint_test(x, x, []).p > 0).all()


def test_one_family_taken_together_has_the_p_value_of_its_largest() -> None:
    generator = np.random.default_rng(2)
    x, y = generator.normal(size=(7, 1)), generator.normal(size=(7, 4))
    test = joint_test(x, y, [np.ones((1, 4), bool), np.eye(1, 4, dtype=bool)], [[0], [0, 1]])
    assert test.together[0] == pytest.approx(test.adjusted[0].min())
    assert test.together[1] >= min(test.adjusted[0].min(), test.adjusted[1][0, 0])


def test_schemes_are_exchanged_within_their_stratum_only() -> None:
    # Strata differ in both: within each there is nothing, over all the order is perfect.
    x, y, strata = np.array([1.0, 2, 11, 12, 13]), np.array([2.0, 1, 13, 12, 11]), np.array([0, 0, 1, 1, 1])
    within = joint_test(x[:, None], y[:, None], [], strata=strata).p[0, 0]
    assert within == pytest.approx(1)
    assert joint_test(x[:, None], y[:, None], []).p[0, 0] < 0.5


def test_missing_values_and_constant_columns_are_no_evidence() -> None:
    x = np.arange(7.0)[:, None]
    y = np.column_stack([np.ones(7), np.arange(7.0), np.full(7, np.nan)])
    y[6, 1] = np.nan
    p = joint_test(x, y, [np.ones((1, 3), bool)])
    assert p.p[0, 0] == p.p[0, 2] == 1
    assert p.p[0, 1] < 0.05


def test_many_schemes_in_single_precision_agree_with_few_in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(40, 2)), generator.normal(size=(40, 2))
    double = joint_test(x, y, [np.ones((2, 2), bool)], draws=999)
    monkeypatch.setattr(permutation, "SINGLE_PRECISION_FROM", 1)
    single = joint_test(x, y, [np.ones((2, 2), bool)], draws=999)
    assert single.p == pytest.approx(double.p, abs=0.003)
    assert single.adjusted[0] == pytest.approx(double.adjusted[0], abs=0.003)
