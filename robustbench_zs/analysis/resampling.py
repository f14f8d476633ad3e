"""Resamples and permutations of whole schemes.

Networks of one scheme that differ only by their seed are no independent evidence, so they stay together.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from itertools import chain, permutations, product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.intp]

FEWEST_SCHEMES = 4
"""With fewer schemes no interval is given: a bootstrap over three values says nothing."""

RESAMPLES = 2000
MONTE_CARLO_PERMUTATIONS = 1999
MOST_EXACT_PERMUTATIONS = 5040
"""Up to so many (7 schemes) all permutations are taken, beyond it a random sample of `MONTE_CARLO_PERMUTATIONS`."""


def scheme_groups(schemes: Sequence[Hashable]) -> list[Indices]:
    """The positions of each scheme's networks, schemes in the order of first appearance."""
    return [np.flatnonzero([s == scheme for s in schemes]) for scheme in dict.fromkeys(schemes)]


def bootstrap_rows(groups: Sequence[Indices], resamples: int = RESAMPLES, seed: int = 0) -> list[Indices]:
    """Resamples of whole groups with replacement, as arrays resamples × networks.

    Groups may have different sizes, so resamples of one length at a time make a rectangular array each.
    """
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, len(groups), (resamples, len(groups)))
    rows = [np.concatenate([groups[i] for i in draw]) for draw in draws]
    return [np.stack([r for r in rows if len(r) == length]) for length in sorted({len(r) for r in rows})]


def percentile_interval(values: Floats, confidence: float = 0.95) -> tuple[float | None, float | None]:
    """Percentile bootstrap interval of the finite values; a resample of one value only has no correlation."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None, None
    low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def permuted_rows(
    schemes: Sequence[Hashable], cells: Sequence[Hashable], seed: int = 0, most_exact: int = MOST_EXACT_PERMUTATIONS
) -> tuple[Indices, bool]:
    """Permutations of whole schemes: for each the position from which every network takes its predictor.

    Args:
        schemes: of each network.
        cells: what else a network's predictor depends on, such as its depth, but not its seed. A network takes the predictor
            of another scheme in its own cell, so schemes are exchanged only with schemes that have the same cells.

    Returns:
        An array permutations × networks, and whether these are all permutations (then the identity is among them).
    """
    position = {(s, c): i for i, (s, c) in reversed([*enumerate(zip(schemes, cells, strict=True))])}
    cells_of: dict[Hashable, set[Hashable]] = {}
    for s, c in position:
        cells_of.setdefault(s, set()).add(c)
    strata: dict[Hashable, list[Hashable]] = {}
    for s in dict.fromkeys(schemes):
        strata.setdefault(frozenset(cells_of[s]), []).append(s)
    exact = math.prod(math.factorial(len(members)) for members in strata.values()) <= most_exact
    rows = []
    for exchanged in _all_exchanges(strata) if exact else _random_exchanges(strata, seed):
        rows.append([position[exchanged[s], c] for s, c in zip(schemes, cells, strict=True)])
    return np.asarray(rows, dtype=np.intp), exact


def _all_exchanges(strata: dict[Hashable, list[Hashable]]) -> Iterator[dict[Hashable, Hashable]]:
    schemes = [s for members in strata.values() for s in members]
    for orders in product(*(permutations(members) for members in strata.values())):
        yield dict(zip(schemes, chain.from_iterable(orders), strict=True))


def _random_exchanges(strata: dict[Hashable, list[Hashable]], seed: int) -> Iterator[dict[Hashable, Hashable]]:
    generator = np.random.default_rng(seed)
    schemes = [s for members in strata.values() for s in members]
    for _ in range(MONTE_CARLO_PERMUTATIONS):
        others = [members[i] for members in strata.values() for i in generator.permutation(len(members))]
        yield dict(zip(schemes, others, strict=True))


def permutation_p_value(observed: float, permuted: Floats, exact: bool) -> float | None:
    """Two-sided p-value: the share of permutations with a statistic at least as large in magnitude.

    A random sample counts the observed one as well, (1 + hits) / (1 + permutations), so that the test keeps its level
    (Phipson and Smyth 2010). None if there is nothing to permute.
    """
    if len(permuted) < 2:
        return None
    hits = int((np.abs(permuted) >= abs(observed) - 1e-12).sum())  # equal up to rounding is as large
    return hits / len(permuted) if exact else (1 + hits) / (1 + len(permuted))


def ranks_of_rows(values: Floats) -> Floats:
    """Ranks within each row, ties by average ranks."""
    ranks: Floats = rankdata(values, axis=1)
    return ranks


def correlation_of_rows(a: Floats, b: Floats) -> Floats:
    """Pearson's r of each pair of rows; NaN where a row is constant."""
    constant = (np.ptp(a, axis=1) == 0) | (np.ptp(b, axis=1) == 0)
    a, b = (v - v.mean(1, keepdims=True) for v in (a, b))
    a, b = (v / np.where(scale := np.abs(v).max(1, keepdims=True), scale, 1) for v in (a, b))  # squares stay in range
    with np.errstate(invalid="ignore"):
        r: Floats = (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.where(constant, np.nan, r.clip(-1, 1))


def partial_correlation(xy: Floats, xz: Floats, yz: Floats) -> Floats:
    """First-order partial correlation (r_xy − r_xz r_yz) / √((1 − r_xz²)(1 − r_yz²)); NaN where z determines x or y."""
    rest = (1 - xz**2) * (1 - yz**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        partial: Floats = (xy - xz * yz) / np.sqrt(rest)
    return np.where(rest > 1e-12, partial.clip(-1, 1), np.nan)
