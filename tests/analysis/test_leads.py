from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from robustbench_zs.analysis.correlation import correlation_interval
from robustbench_zs.analysis.leads import critical_of_leads, dependence, lead_interval


def test_the_interval_is_zous() -> None:
    """Zou (2007): from the limits of both correlations and the correlation of their estimates."""
    r_1, r_2, between, n = 0.6, 0.4, 0.5, 100
    (l_1, u_1), (l_2, u_2) = correlation_interval(r_1, n), correlation_interval(r_2, n)
    c = ((between - r_1 * r_2 / 2) * (1 - r_1**2 - r_2**2 - between**2) + between**3) / ((1 - r_1**2) * (1 - r_2**2))
    assert dependence(r_1, r_2, between) == pytest.approx(c)
    low = r_1 - r_2 - np.sqrt((r_1 - l_1) ** 2 + (u_2 - r_2) ** 2 - 2 * c * (r_1 - l_1) * (u_2 - r_2))
    high = r_1 - r_2 + np.sqrt((u_1 - r_1) ** 2 + (r_2 - l_2) ** 2 - 2 * c * (u_1 - r_1) * (r_2 - l_2))
    assert lead_interval(r_1, r_2, between, n, 1.959964) == pytest.approx((low, high), abs=1e-5)


def test_estimates_depend_on_one_another_as_the_formula_says() -> None:
    generator = np.random.default_rng(0)
    root = np.linalg.cholesky([[1, 0.6, 0.5], [0.6, 1, 0.3], [0.5, 0.3, 1]])
    found = []
    for _ in range(600):
        outcome, first, second = (generator.standard_normal((100, 3)) @ root.T).T
        found.append((spearmanr(outcome, first).statistic, spearmanr(outcome, second).statistic))
    assert np.corrcoef(np.transpose(found))[0, 1] == pytest.approx(dependence(0.6, 0.5, 0.3), abs=0.12)


def test_the_more_predictors_the_wider() -> None:
    def critical(k: int, between: float) -> float:
        among = np.full((k, k), between)
        np.fill_diagonal(among, 1)
        return critical_of_leads(np.full(k, 0.5), among)

    assert critical(2, 0.5) == pytest.approx(1.96, abs=0.04)
    assert critical(2, 0.5) < critical(3, 0.5) < critical(7, 0.5) < 3.1
    # For equal correlations of equally correlated predictors it is the studentized range, over √2 (Tukey).
    from scipy.stats import studentized_range

    assert critical(7, 0.5) == pytest.approx(studentized_range.ppf(0.95, 7, np.inf) / 2**0.5, abs=0.05)


def test_predictors_that_are_one_have_no_lead() -> None:
    assert critical_of_leads(np.array([0.5, 0.5]), np.ones((2, 2))) == 0
