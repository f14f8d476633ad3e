from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from robustbench_zs.analysis.resampling import (
    MONTE_CARLO_PERMUTATIONS,
    Floats,
    bootstrap_rows,
    correlation_of_rows,
    partial_correlation,
    permutation_p_value,
    permuted_rows,
    ranks_of_rows,
    scheme_groups,
)


def p_of_spearman(x: Floats, y: Floats, schemes: list[int], cells: list[int] | None = None, **options: int) -> float | None:
    rows, exact = permuted_rows(schemes, cells or [0] * len(schemes), **options)
    ranks = ranks_of_rows(y[None])
    observed = correlation_of_rows(ranks_of_rows(x[None]), ranks)[0]
    permuted = correlation_of_rows(ranks_of_rows(x[rows]), np.broadcast_to(ranks, rows.shape))
    return permutation_p_value(observed, permuted, exact)


def exhaustive_p(x: Floats, y: Floats, schemes: list[int]) -> float:
    """Every way to hand the predictors of the schemes round, with scipy's ρ."""
    by_scheme = dict(zip(schemes, x, strict=True))
    observed = abs(spearmanr(x, y).statistic)
    found = [
        abs(spearmanr([dict(zip(by_scheme, order, strict=True))[s] for s in schemes], y).statistic)
        for order in permutations(by_scheme.values())
    ]
    return float(np.mean(np.array(found) >= float(observed) - 1e-9))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 3), min_size=3, max_size=4))
def test_p_value_is_that_of_exhaustive_enumeration(seed: int, seeds_of_scheme: list[int]) -> None:
    generator = np.random.default_rng(seed)
    schemes = [s for s, seeds in enumerate(seeds_of_scheme) for _ in range(seeds)]
    x = generator.normal(size=len(seeds_of_scheme))[schemes]
    y = generator.integers(0, 6, len(schemes)).astype(float)
    if np.ptp(y) == 0:
        return
    assert p_of_spearman(x, y, schemes) == pytest.approx(exhaustive_p(x, y, schemes))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=5, max_size=5), st.lists(st.integers(0, 9), min_size=5, max_size=5))
def test_under_the_null_small_p_values_are_as_rare_as_they_say(x: list[int], y: list[int]) -> None:
    # All orders of y are equally likely under the null; the law holds with ties as well.
    if len(set(x)) == 1 or len(set(y)) == 1:
        return
    found = [p_of_spearman(np.array(x, float), np.array(order, float), [*range(5)]) for order in permutations(y)]
    values = np.array(found, float)
    for level in np.unique(values):
        assert (values <= level).mean() <= level + 1e-9


def test_seeds_that_share_their_scheme_do_not_make_p_values_small() -> None:
    # Ten seeds a scheme with a common effect of the scheme and no relation to the predictor: uniform all the same.
    generator = np.random.default_rng(0)
    schemes = [s for s in range(6) for _ in range(10)]
    rows, exact = permuted_rows(schemes, [0] * 60)
    found = []
    for _ in range(300):
        x = generator.normal(size=6)[schemes]
        y = (generator.normal(size=6)[schemes] + 0.1 * generator.normal(size=60))[None]
        permuted = correlation_of_rows(x[rows], np.broadcast_to(y, rows.shape))
        found.append(permutation_p_value(correlation_of_rows(x[None], y)[0], permuted, exact))
    p = np.array(found, float)
    # Three standard deviations of a binomial share of 300.
    for level in (0.05, 0.25, 0.5, 0.75):
        assert (p <= level).mean() == pytest.approx(level, abs=3 * (level * (1 - level) / 300) ** 0.5)


def test_a_sample_of_permutations_agrees_with_all_of_them() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=7)
    y = x + 1.2 * generator.normal(size=7)
    all_of_them = p_of_spearman(x, y, [*range(7)])
    sample = p_of_spearman(x, y, [*range(7)], most_exact=1)
    assert all_of_them is not None
    assert sample == pytest.approx(all_of_them, abs=4 * (0.25 / MONTE_CARLO_PERMUTATIONS) ** 0.5)
    assert permutation_p_value(1.0, np.zeros(1999), exact=False) == 1 / 2000  # never 0


def test_schemes_are_exchanged_depth_by_depth_and_only_with_those_of_the_same_depths() -> None:
    schemes, depths = [0, 0, 1, 1, 2], [20, 56, 56, 20, 20]
    rows, exact = permuted_rows(schemes, depths)
    assert exact
    assert sorted(rows.tolist()) == [[0, 1, 2, 3, 4], [3, 2, 1, 0, 4]]


def test_nothing_to_permute_has_no_p_value() -> None:
    assert p_of_spearman(np.array([1.0, 2.0, 2.5]), np.array([1.0, 2.0, 3.0]), [0, 0, 0], [1, 2, 3]) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_correlations_are_scipys(seed: int) -> None:
    x, y, z = np.random.default_rng(seed).integers(0, 8, (3, 12)).astype(float)
    if min(np.ptp(x), np.ptp(y), np.ptp(z)) == 0:
        return
    assert correlation_of_rows(x[None], y[None])[0] == pytest.approx(pearsonr(x, y).statistic)
    huge = correlation_of_rows(1e200 * x[None], y[None])[0]
    assert huge == pytest.approx(pearsonr(x, y).statistic)
    ranks = [ranks_of_rows(v[None]) for v in (x, y, z)]
    xy, xz, yz = (correlation_of_rows(ranks[i], ranks[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert xy[0] == pytest.approx(spearmanr(x, y).statistic)
    # The partial correlation is that of what a linear fit to z leaves of x and of y.
    design = np.column_stack([np.ones(12), ranks[2][0]])
    left = [r[0] - design @ np.linalg.lstsq(design, r[0])[0] for r in ranks[:2]]
    if min(np.abs(v).max() for v in left) > 1e-6:
        assert partial_correlation(xy, xz, yz)[0] == pytest.approx(pearsonr(*left).statistic)


def test_what_has_no_correlation_is_nan() -> None:
    constant, other = np.full((1, 5), 0.1), np.arange(5.0)[None]
    assert np.isnan(correlation_of_rows(constant, other)[0])
    one = np.ones(1)
    assert np.isnan(partial_correlation(0.5 * one, one, 0.5 * one)[0])


def test_resamples_hold_whole_schemes() -> None:
    groups = scheme_groups(["a", "b", "a", "c"])
    arrays = bootstrap_rows(groups, 50, seed=0)
    assert sum(map(len, arrays)) == 50
    for row in np.concatenate([a.ravel() for a in arrays if a.shape[1] == 3]).reshape(-1, 3):
        assert set(row) <= {1, 3} or sorted(row) == [0, 2, 1]
    for array in arrays:
        for row in array:
            assert (row == 0).sum() == (row == 2).sum()
