"""Subsets in which candidates can be told apart: an exchange algorithm against rank correlation, like Fedorov's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from random import Random

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.int64]
"""Objects × candidates: twice the average rank of each object in the pool, so that ties are whole numbers too."""

TRIED = 200
"""Objects tried in the place of each member, a round."""

MAX_ROUNDS = 40


def ranks_of(values: Array) -> Ranks:
    """Objects × candidates, each column ranked."""
    from scipy.stats import rankdata

    return np.rint(2 * rankdata(values, axis=0)).astype(np.int64)


def mean_correlation(ranks: Sequence[Ranks], chosen: Sequence[int]) -> float:
    """Mean |Pearson correlation of the pool's ranks| over all pairs of candidates, averaged over tables, in a subset."""
    totals = [_Totals(table, chosen) for table in ranks]
    return float(np.mean([t.correlation(t.sums[None], t.products[None])[0] for t in totals]))


def exchange(
    ranks: Sequence[Ranks], strata: Sequence[Hashable], allowed: Sequence[int], size: int, random: Random
) -> list[int]:
    """So many of the allowed objects, with a low `mean_correlation`; each stratum keeps its share among the allowed.

    From a random start members are exchanged, one by one, for the best of 200 others of their stratum, until a round
    through all members changes none, or for 40 rounds.
    """
    outside: dict[Hashable, list[int]] = {}
    for index in allowed:
        outside.setdefault(strata[index], []).append(index)
    quotas = _quotas({stratum: len(members) for stratum, members in outside.items()}, size)
    chosen: list[int] = []
    for stratum, members in outside.items():
        members[:] = _shuffled(members, random)
        chosen += members[: quotas[stratum]]
        del members[: quotas[stratum]]
    totals = [_Totals(table, chosen) for table in ranks]
    for _ in range(MAX_ROUNDS):
        changed = False
        for place, member in enumerate(chosen):
            others = outside[strata[member]]
            if not others:
                continue
            places = [int(random.random() * len(others)) for _ in range(TRIED)]
            tried = [others[i] for i in places]
            # Compared as whole numbers, so that rounding, which depends on the machine, decides nothing.
            after = np.rint(1e12 * sum(t.after(member, tried) for t in totals))
            before = np.rint(1e12 * sum(t.after(member, [member]) for t in totals))
            best = int(after.argmin())
            if after[best] < before[0]:
                for t in totals:
                    t.move(member, tried[best])
                chosen[place] = tried[best]
                others[places[best]] = member
                changed = True
        if not changed:
            break
    return chosen


def nested(
    ranks: Sequence[Ranks], strata: Sequence[Hashable], chosen: Sequence[int], sizes: Sequence[int], random: Random
) -> list[int]:
    """The chosen in an order in which the first n, for each of the descending sizes n, are again such a subset."""
    order: list[int] = []
    within = list(chosen)
    for size in sizes:
        inner = exchange(ranks, strata, within, size, random)
        order = [index for index in within if index not in inner] + order
        within = inner
    return within + order


class _Totals:
    """Sums and sums of products of the ranks of a subset. All are whole numbers below 2^53, so an exchange is exact."""

    def __init__(self, ranks: Ranks, chosen: Sequence[int]) -> None:
        candidates = ranks.shape[1]
        self.rows, self.columns = np.triu_indices(candidates)
        self.variances = np.flatnonzero(self.rows == self.columns)
        self.pairs = np.flatnonzero(self.rows != self.columns)
        self.ranks = (ranks - len(ranks) - 1).astype(np.float64)  # their mean taken away
        self.size = len(chosen)
        members = self.ranks[list(chosen)]
        self.sums, self.products = members.sum(0), self.products_of(members).sum(0)

    def products_of(self, ranks: Array) -> Array:
        """Of every candidate with itself and with each later one."""
        products: Array = ranks[..., self.rows] * ranks[..., self.columns]
        return products

    def after(self, member: int, others: Sequence[int]) -> Array:
        """The mean |correlation| with each of the others in the place of the member."""
        old, new = self.ranks[member], self.ranks[list(others)]
        return self.correlation(self.sums - old + new, self.products - self.products_of(old) + self.products_of(new))

    def move(self, member: int, other: int) -> None:
        old, new = self.ranks[member], self.ranks[other]
        self.sums = self.sums - old + new
        self.products = self.products - self.products_of(old) + self.products_of(new)

    def correlation(self, sums: Array, products: Array) -> Array:
        """Of subsets, given their sums and products."""
        covariances = self.size * products - self.products_of(sums)
        scales = np.sqrt(np.maximum(covariances[:, self.variances], 1))
        rows, columns = self.rows[self.pairs], self.columns[self.pairs]
        mean: Array = np.abs(covariances[:, self.pairs] / (scales[:, rows] * scales[:, columns])).mean(1)
        return mean


def _quotas(sizes: dict[Hashable, int], size: int) -> dict[Hashable, int]:
    """Whole numbers in proportion to the sizes that sum to `size`, by the largest remainders."""
    whole = sum(sizes.values())
    quotas = Counter({stratum: size * n // whole for stratum, n in sizes.items()})
    by_remainder = sorted(sizes, key=lambda stratum: -(size * sizes[stratum] % whole))
    quotas.update(by_remainder[: size - quotas.total()])
    return dict(quotas)


def _shuffled(items: Sequence[int], random: Random) -> list[int]:
    return [item for _, item in sorted((random.random(), item) for item in items)]
