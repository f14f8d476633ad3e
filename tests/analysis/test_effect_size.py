from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from robustbench_zs.analysis import effect_size
from robustbench_zs.analysis.effect_size import interval_rank, kth_difference, u_distribution


def test_cliffs_delta_is_that_of_mann_and_whitneys_u() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 9, 7).astype(float), generator.integers(0, 9, 5).astype(float)
    found = effect_size(a, b)
    assert found.shift == pytest.approx(np.median([x - y for x in a for y in b]))
    assert found.cliffs_delta == pytest.approx(2 * mannwhitneyu(a, b).statistic / 35 - 1)
    assert effect_size(a[:2], b).shift is not None
    assert effect_size(a[:2], b).shift_low is None
    assert effect_size(a[:0], b).shift is None


def test_the_interval_holds_what_mann_and_whitneys_test_does_not_reject() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.normal(size=6), generator.normal(size=8)
    found = effect_size(a, b)
    assert found.shift_low is not None
    assert found.shift_high is not None
    differences = np.unique(np.subtract.outer(a, b))
    for shift in (differences[1:] + differences[:-1]) / 2:  # between two differences the test does not change
        rejected = mannwhitneyu(a - shift, b, method="exact").pvalue <= 0.05
        assert rejected == (not found.shift_low < shift < found.shift_high)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (3, 4), (4, 6), (7, 2)])
def test_the_distribution_of_u_is_scipys(m: int, n: int) -> None:
    cumulative = np.cumsum(u_distribution(m, n))
    for u in range(m * n + 1):
        sample = np.arange(n) + 0.5  # u of the m·n pairs have the first side above
        first = np.full(m, -1.0)
        full, rest = divmod(u, n)
        first[:full], first[full : full + 1] = n + 1, rest
        distinct = first + 1e-6 * np.arange(m)
        assert mannwhitneyu(distinct, sample).statistic == u
        expected = mannwhitneyu(distinct, sample, alternative="less", method="exact").pvalue
        assert cumulative[u] == pytest.approx(expected)


def test_large_sides_are_close_to_exact_ones() -> None:
    exact, close = interval_rank(70, 71), interval_rank(71, 71)  # on both sides of `MAX_EXACT`
    assert exact is not None
    assert close is not None
    assert close == pytest.approx(exact * 71 / 70, rel=0.01)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_differences_by_bisection_are_those_that_are_sorted(seed: int) -> None:
    generator = np.random.default_rng(seed)
    a, b = np.sort(generator.integers(-4, 9, 9) / 7), np.sort(generator.normal(size=11).round(1))
    wanted = np.sort(np.subtract.outer(a, b), axis=None)
    more_a, more_b = (np.concatenate([np.full(40, side[0]), side, np.full(40, side[-1])]) for side in (a, b))
    more = np.sort(np.subtract.outer(more_a, more_b), axis=None)
    for k in (0, 17, 50, 98):
        assert kth_difference(a, b, k) == wanted[k]
        assert kth_difference(more_a, more_b, k * 80) == pytest.approx(more[k * 80], abs=1e-12)
