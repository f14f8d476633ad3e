"""Tests of recipes over their seeds: t-tests whose variance is shared by the networks as far as they are alike.

With two seeds per network a variance of its own has two degrees of freedom, and no drop is found among ninety comparisons.
Networks of one study scatter alike, but not exactly: their variances are drawn towards the pooled one by as much as their
own scatter allows (the moderated t-test of Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3:3, with
the pooled variance for the prior's, which is the cautious choice).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Scatter:
    """Seeds of one network under one kind of images, accuracies as fractions.

    Args:
        drop: mean accuracy then − now.
        variance: of single seeds around the mean of their side.
        freedom: its degrees of freedom.
        share: of the variance that the drop has, 1/seeds then + 1/seeds now.
    """

    drop: float
    variance: float
    freedom: int
    share: float


@dataclass(frozen=True)
class SeedTest:
    """A drop (a fraction), its standard error, and the degrees of freedom of that."""

    drop: float
    error: float
    freedom: float

    @property
    def p_worse(self) -> float:
        from scipy.special import stdtr

        return float(stdtr(self.freedom, -self.drop / self.error))

    @property
    def p_better(self) -> float:
        from scipy.special import stdtr

        return float(stdtr(self.freedom, self.drop / self.error))


def scatter(before: Sequence[float], now: Sequence[float], images: int) -> Scatter:
    """What accuracies of at least two seeds a side say; they are rounded to an image, which adds 1/12 of its square."""
    sides = [np.asarray(side, float) for side in (before, now)]
    freedom = sum(len(side) - 1 for side in sides)
    squares = sum(float(((side - side.mean()) ** 2).sum()) for side in sides)
    variance = max(squares / freedom, 1 / (12 * images**2))
    return Scatter(float(sides[0].mean() - sides[1].mean()), variance, freedom, sum(1 / len(side) for side in sides))


def moderated(table: Sequence[Sequence[Scatter]]) -> list[list[SeedTest]]:
    """One test per network (rows) and kind of images (columns); variances are pooled within a kind."""
    variance = np.array([[cell.variance for cell in row] for row in table])
    freedom = np.array([row[0].freedom for row in table], float)
    pooled = freedom @ variance / freedom.sum()
    prior = prior_freedom(variance, freedom)
    if math.isinf(prior):
        shrunk, total = np.broadcast_to(pooled, variance.shape), np.full(len(freedom), freedom.sum())
    else:
        shrunk = (prior * pooled + freedom[:, None] * variance) / (prior + freedom[:, None])
        total = np.minimum(prior + freedom, freedom.sum())
    return [
        [SeedTest(c.drop, math.sqrt(v * c.share), float(f)) for c, v in zip(row, values, strict=True)]
        for row, values, f in zip(table, shrunk, total, strict=True)
    ]


def prior_freedom(variance: npt.NDArray[np.float64], freedom: npt.NDArray[np.float64]) -> float:
    """How many degrees of freedom the pooled variance is worth to each network; infinite where all scatter alike.

    log s² of a network scatters by ψ′(freedom/2) by chance; what it scatters beyond that is ψ′(prior/2) (Smyth 2004, 6.2).

    Args:
        variance: networks × kinds.
        freedom: networks.
    """
    from scipy.optimize import brentq
    from scipy.special import digamma, polygamma

    if len(freedom) == 1:
        return math.inf
    logs = np.log(variance) - (digamma(freedom / 2) - np.log(freedom / 2))[:, None]
    excess = float(logs.var(axis=0, ddof=1).mean() - polygamma(1, freedom / 2).mean())
    low, high = 1e-2, 1e4
    if excess <= polygamma(1, high):
        return math.inf
    if excess >= polygamma(1, low):
        return 2 * low
    return 2 * float(brentq(lambda x: float(polygamma(1, x)) - excess, low, high))
