from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from robustbench_zs.evaluation import wilson_interval
from robustbench_zs.evaluation.intervals import newcombe_interval

counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("correct", "examples", "low", "high"),
    # Newcombe 1998, Two-sided confidence intervals for the single proportion, Table I, method 3
    [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0, 16.11), (1, 29, 0.61, 17.18)],
)
def test_wilson_intervals_are_the_published_ones(correct: int, examples: int, low: float, high: float) -> None:
    assert wilson_interval(correct, examples) == pytest.approx((low, high), abs=0.005)


@settings(max_examples=100, deadline=None)
@given(count=counts, confidence=st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_interval_is_the_closed_form(count: tuple[int, int], confidence: float) -> None:
    k, n = count
    z = float(norm.ppf(0.5 + confidence / 2))
    p, centre = k / n, (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * (p * (1 - p) * n + z**2 / 4) ** 0.5
    low, high = wilson_interval(k, n, confidence)
    assert (low, high) == pytest.approx((100 * (centre - half), 100 * (centre + half)), abs=1e-8)
    assert -1e-9 <= low <= 100 * p + 1e-9
    assert 100 * p - 1e-9 <= high <= 100 + 1e-9


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    # Newcombe 1998, Interval estimation for the difference between independent proportions, Table II, method 10
    [
        ((56, 70), (48, 80), 5.24, 33.39),
        ((9, 10), (3, 10), 17.05, 80.90),
        ((6, 7), (2, 7), 5.82, 80.62),
        ((5, 56), (0, 29), -3.81, 19.26),
        ((0, 10), (0, 20), -16.11, 27.75),
        ((0, 10), (0, 10), -27.75, 27.75),
        ((10, 10), (0, 20), 67.91, 100),
        ((10, 10), (0, 10), 60.75, 100),
    ],
)
def test_newcombe_intervals_are_the_published_ones(a: tuple[int, int], b: tuple[int, int], low: float, high: float) -> None:
    assert newcombe_interval(*a, *b) == pytest.approx((low, high), abs=0.006)


@settings(max_examples=50, deadline=None)
@given(a=counts, b=counts)
def test_newcombe_interval_holds_the_difference_and_turns_around_with_its_sides(
    a: tuple[int, int], b: tuple[int, int]
) -> None:
    low, high = newcombe_interval(*a, *b)
    difference = 100 * (a[0] / a[1] - b[0] / b[1])
    assert low - 1e-9 <= difference <= high + 1e-9
    assert newcombe_interval(*b, *a) == pytest.approx((-high, -low), abs=1e-9)
