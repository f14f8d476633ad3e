"""Whether one predictor correlates with an outcome more closely than another: simultaneous intervals of their leads."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from robustbench_zs.analysis.correlation import correlation_interval
from robustbench_zs.analysis.permutation import LEVEL, STREAM
from robustbench_zs.analysis.resampling import Floats

MIN_TO_SEPARATE = 40
"""Below so many schemes predictors are not compared: an interval of their difference would be wider than any difference."""

DRAWS = 20_000


def dependence(r_1: float, r_2: float, between: float) -> float:
    """Correlation of two estimated correlations r_1 and r_2 of two predictors with one outcome.

    Args:
        between: the correlation of the two predictors.

    Source: Olkin and Siotani (1976), as in Zou (2007).
    """
    variances = (1 - r_1**2) * (1 - r_2**2)
    if variances <= 0:
        return 0.0
    covariance = (between - r_1 * r_2 / 2) * (1 - r_1**2 - r_2**2 - between**2) + between**3
    return float(np.clip(covariance / variances, -1, 1))


def lead_interval(r_1: float, r_2: float, between: float, n: int, critical: float) -> tuple[float, float]:
    """Interval of r_1 − r_2 for correlations that share an outcome (Zou 2007), from the intervals of both.

    Args:
        between: the correlation of the two predictors.
        n: schemes.
        critical: value of the normal distribution for both intervals, 1.96 for 95%; see `critical_of_leads`.
    """
    (low_1, high_1), (low_2, high_2) = (correlation_interval(r, n, critical) for r in (r_1, r_2))
    c = dependence(r_1, r_2, between)

    def reach(a: float, b: float) -> float:
        return float(np.sqrt(max(0.0, a**2 + b**2 - 2 * c * a * b)))

    return r_1 - r_2 - reach(r_1 - low_1, high_2 - r_2), r_1 - r_2 + reach(high_1 - r_1, r_2 - low_2)


def critical_of_leads(correlations: Floats, between: Floats) -> float:
    """The critical value with which the leads of all pairs of K predictors hold together, at 95%.

    That is the quantile of the largest of all standardized differences (max-T), so the best may be picked after looking.
    Estimates are taken as jointly normal with the correlations of `dependence`.

    Args:
        correlations: K, of each predictor with the outcome, all of one sign.
        between: K×K, of the predictors with each other.
    """
    k = len(correlations)
    pairs = np.array(list(combinations(range(k), 2)))
    dependent = np.array(
        [[dependence(a, b, between[i, j]) for j, b in enumerate(correlations)] for i, a in enumerate(correlations)]
    )
    np.fill_diagonal(dependent, 1)
    spread = (1 - correlations**2) * np.sqrt(1 + correlations**2 / 2)
    values, vectors = np.linalg.eigh(dependent * np.outer(spread, spread))
    drawn = np.random.default_rng(STREAM).standard_normal((DRAWS, k)) * np.sqrt(values.clip(0)) @ vectors.T
    differences = drawn[:, pairs[:, 0]] - drawn[:, pairs[:, 1]]
    scale = differences.std(0)
    differences = differences[:, scale > 1e-9] / scale[scale > 1e-9]
    return float(np.quantile(np.abs(differences).max(1), 1 - LEVEL)) if differences.size else 0.0
