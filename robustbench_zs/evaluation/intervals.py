"""Confidence intervals of accuracies."""

from __future__ import annotations

from functools import cache


def wilson_interval(correct: int, examples: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of correct/examples in percent (Wilson 1927).

    Examples:
        >>> low, high = zs.wilson_interval(90, 100)
        >>> round(low, 1), round(high, 1)
        (82.6, 94.5)
    """
    return _wilson(correct, examples, confidence)


@cache  # scipy tests the share as well, which takes a millisecond, and a study of hundreds has few different shares
def _wilson(correct: int, examples: int, confidence: float) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(correct, examples).proportion_ci(confidence, method="wilson")
    return 100 * float(interval.low), 100 * float(interval.high)


def newcombe_interval(
    correct_a: int, examples_a: int, correct_b: int, examples_b: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of the difference a − b of two independent accuracies, in points (Newcombe 1998, method 10)."""
    a, b = 100 * correct_a / examples_a, 100 * correct_b / examples_b
    (low_a, high_a), (low_b, high_b) = (
        wilson_interval(correct_a, examples_a, confidence),
        wilson_interval(correct_b, examples_b, confidence),
    )
    below = ((a - low_a) ** 2 + (high_b - b) ** 2) ** 0.5
    above = ((high_a - a) ** 2 + (b - low_b) ** 2) ** 0.5
    return a - b - below, a - b + above
