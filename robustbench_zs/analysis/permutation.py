"""Permutations of whole schemes: one joint test of many relations (Westfall and Young 1993, step-down max-T)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, permutations, product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from robustbench_zs.analysis.resampling import Floats, Indices

DRAWS = 99_999
MAX_EXACT = math.factorial(8)
"""Up to so many permutations all are taken, beyond it a sample of `DRAWS`."""

STREAM = 2022
"""Of the sample: the same results always give the same p-values."""

LEVEL = 0.05
SINGLE_PRECISION_FROM = 100
"""From so many schemes on statistics are computed in float32: its rounding is far below a step of a p-value there."""

_AT_ONCE = 2_000_000
"""Numbers that are permuted at once."""


@dataclass(frozen=True, eq=False)
class JointTest:
    """Two-sided p-values of Spearman's ρ for every predictor × outcome.

    Args:
        p: predictors × outcomes, of each alone.
        adjusted: the same for each family: adjusted for the other members, NaN for what is no member.
        together: for each group of families the p-value of all of them together: that any shows anything at all.
        critical: for each family the least |ρ| of its largest one that is significant, also when it is taken together with
            every group that it belongs to; None where even 1 is not.
    """

    p: Floats
    adjusted: tuple[Floats, ...]
    together: tuple[float, ...]
    critical: tuple[float | None, ...]


def joint_test(
    x: Floats,
    y: Floats,
    families: Sequence[npt.NDArray[np.bool_]],
    groups: Sequence[Sequence[int]] = (),
    strata: Indices | None = None,
    draws: int = DRAWS,
) -> JointTest:
    """Test every column of `x` against every column of `y` by exchanging whole rows of `y`, all columns together.

    Within a family the adjusted p-values keep the chance of any false rejection at their level, whatever is true of the
    others. Missing values take the middle rank; a constant column has p-values of 1.

    Args:
        x, y: schemes × predictors, schemes × outcomes; NaN where unknown.
        families: predictors × outcomes, the members of each.
        groups: numbers of the families that are taken together.
        strata: of each scheme; rows are exchanged only within them.
    """
    n, shape = len(x), (x.shape[1], y.shape[1])
    strata = np.zeros(n, np.intp) if strata is None else strata
    single = n >= SINGLE_PRECISION_FROM
    slack = 1e-5 if single else 1e-9
    a: Any
    b: Any
    a, b = (standard_ranks(v).astype(np.float32 if single else np.float64) for v in (x, y))
    observed = np.abs(a.T @ b).ravel()
    # The members of each family from the largest statistic to the smallest.
    orders = [members[np.argsort(-observed[members], kind="stable")] for members in map(np.flatnonzero, families)]
    hits = np.zeros(observed.size)
    family_hits = [np.zeros(len(order)) for order in orders]
    maxima: list[list[Floats]] = [[] for _ in orders]
    all_of_them = math.prod(math.factorial(int(size)) for size in np.bincount(strata)) <= MAX_EXACT
    total = 0 if all_of_them else 1  # a sample counts the observed order as well (Phipson and Smyth 2010)
    per_chunk = max(1, _AT_ONCE // max(1, n * shape[1]))
    for rows in _all_orders(strata, per_chunk) if all_of_them else _sampled_orders(strata, draws, per_chunk):
        permuted = np.take(b.T, rows, axis=1)  # outcomes × draws × schemes
        drawn = np.abs(permuted @ a)
        statistics = drawn.transpose(1, 2, 0).reshape(len(rows), -1)
        hits += (statistics >= observed - slack).sum(0)
        total += len(rows)
        for order, counts, largest in zip(orders, family_hits, maxima, strict=True):
            if len(order):
                least_to_most = np.maximum.accumulate(statistics[:, order[::-1]], axis=1)
                counts += (least_to_most[:, ::-1] >= observed[order] - slack).sum(0)
                largest.append(least_to_most[:, -1])
    unseen = 0 if all_of_them else 1
    adjusted = []
    for order, counts in zip(orders, family_hits, strict=True):
        values = np.full(observed.size, np.nan)
        values[order] = np.maximum.accumulate((counts + unseen) / total)
        adjusted.append(values.reshape(shape))
    found = [np.concatenate(largest) if largest else np.empty(0) for largest in maxima]
    first = [observed[order[:1]] for order in orders]
    seen = found if all_of_them else [np.append(*pair) for pair in zip(first, found, strict=True)]
    together = [_together([(float(first[i][0]), seen[i]) for i in group if len(first[i])], slack) for group in groups]
    levels = [
        min([LEVEL, *(level for group, (_, level) in zip(groups, together, strict=True) if i in group)])
        for i in range(len(families))
    ]
    return JointTest(
        ((hits + unseen) / total).reshape(shape),
        tuple(adjusted),
        tuple(p for p, _ in together),
        tuple(_critical(largest, level) for largest, level in zip(found, levels, strict=True)),
    )


def standard_ranks(values: Floats) -> Floats:
    """Ranks of each column with mean 0 and length 1; missing values are 0, and so are all of a constant column."""
    if not len(values):
        return values
    ranks = rankdata(values, axis=0, nan_policy="omit")
    known = np.isfinite(ranks)
    centred = np.where(known, ranks - (known.sum(0) + 1) / 2, 0)
    length = np.sqrt((centred**2).sum(0))
    return np.asarray(centred / np.where(length > 0, length, 1))


def _together(families: Sequence[tuple[float, Floats]], slack: float) -> tuple[float, float]:
    """How often the smallest p-value of a family is as small as it is here, and how small it is in `LEVEL` of the draws.

    Args:
        families: the largest statistic of each, observed and in every draw.
    """
    if not families:
        return 1.0, LEVEL
    smallest = np.ones(len(families[0][1]))
    here = 1.0
    for observed, largest in families:
        descending = np.sort(largest)[::-1]
        as_large = np.searchsorted(-descending, -(np.append(largest, observed) - slack), side="right") / len(largest)
        smallest, here = np.minimum(smallest, as_large[:-1]), min(here, float(as_large[-1]))
    return float((smallest <= here + 1e-12).mean()), float(np.quantile(smallest, LEVEL, method="lower"))


def _critical(largest: Floats, level: float) -> float | None:
    """The least value that at most this share of the draws reaches."""
    values, counts = np.unique(largest.round(6), return_counts=True)
    reached = counts[::-1].cumsum()[::-1] / max(1, len(largest))
    rare = values[reached <= level]
    return float(rare[0]) if len(rare) else None


def _all_orders(strata: Indices, at_once: int) -> Iterator[Indices]:
    members = [np.flatnonzero(strata == s) for s in range(strata.max(initial=-1) + 1)]
    places = np.argsort(np.concatenate(members) if members else strata)
    orders = (tuple(chain.from_iterable(order)) for order in product(*(permutations(m.tolist()) for m in members)))
    while chunk := list(islice(orders, at_once)):
        yield np.array(chunk, np.intp).reshape(len(chunk), -1)[:, places]


def _sampled_orders(strata: Indices, draws: int, at_once: int) -> Iterator[Indices]:
    generator = np.random.default_rng(STREAM)
    for start in range(0, draws, at_once):
        rows = np.tile(np.arange(len(strata)), (min(at_once, draws - start), 1))
        for stratum in range(strata.max() + 1):
            here = strata == stratum
            rows[:, here] = generator.permuted(rows[:, here], axis=1)
        yield rows
