from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from robustbench_zs.analysis import RankCorrelation, degradation_by_verdict, rank_correlation

values = st.lists(st.integers(-5, 5).map(float), min_size=4, max_size=12)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_rho_is_scipys_with_ties(data: st.DataObject) -> None:
    x = data.draw(values)
    y = data.draw(st.lists(st.integers(-5, 5).map(float), min_size=len(x), max_size=len(x)))
    found = rank_correlation(x, y, range(len(x)), resamples=20)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert found.rho is None
    else:
        assert found.rho == pytest.approx(spearmanr(x, y).statistic)


def test_seeds_of_one_scheme_are_no_new_evidence() -> None:
    x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    y = [1.0, 3.0, 2.0, 6.0, 4.0, 5.0]
    once = rank_correlation(x, y, range(6))
    tenfold = rank_correlation(x * 10, y * 10, [*range(6)] * 10)
    assert once.low is not None
    assert tenfold.low == pytest.approx(once.low, abs=0.1)
    assert (tenfold.networks, tenfold.schemes) == (60, 6)


def test_interval_covers_about_as_often_as_it_says() -> None:
    # Independent values: ρ = 0 must lie in most 95% intervals. Percentile intervals of ten are a little too narrow.
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(100):
        found = rank_correlation(
            generator.normal(size=10).tolist(), generator.normal(size=10).tolist(), range(10), resamples=200
        )
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0 <= found.high
    assert hits >= 84


@pytest.mark.parametrize(
    ("x", "y"),
    [([1.0, 2.0], [1.0, 2.0]), ([1.0] * 5, [1.0, 2, 3, 4, 5]), ([1.0, 2, 3, 4], [float("nan"), 1, 2, 3])],
    ids=["two networks", "one modulus", "a NaN"],
)
def test_what_cannot_be_computed_is_none(x: list[float], y: list[float]) -> None:
    found = rank_correlation(x, y, range(len(x)))
    assert (found.rho, found.low, found.high) == (None, None, None)
    assert "cannot be computed" in found.finding


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(-0.1, 0.9, "no evidence"), (0.1, 0.9, "positive"), (-0.9, -0.1, "negative"), (None, None, "no interval")],
)
def test_finding_says_what_the_interval_allows(low: float | None, high: float | None, word: str) -> None:
    assert word in RankCorrelation(0.5, low, high, 10, 10).finding


def test_a_side_without_networks_is_null() -> None:
    frame = pd.DataFrame(
        {"network": ["a"], "scheme": ["a"], "moduli": [[1.0]], "zero_stable": [True], "perturbation": ["p"], "drop": [3.0]}
    )
    row = degradation_by_verdict(frame).iloc[0]
    assert row["zero_stable"] == 3.0
    assert row["non_zero_stable"] is None
    assert row["difference"] is None
