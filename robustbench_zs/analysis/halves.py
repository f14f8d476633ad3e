"""The two halves of an atlas: discovery, which may be searched for anything, and confirmation, which is tested."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from robustbench_zs.analysis.images import Bools, ImageOutcomes
from robustbench_zs.analysis.network_outcomes import ROBUSTNESS, SMALLEST_EPS, network_outcomes
from robustbench_zs.analysis.predictors import PREDICTORS
from robustbench_zs.analysis.resampling import Floats
from robustbench_zs.analysis.scheme_means import SchemeMeans, scheme_means
from robustbench_zs.schemes.atlas import HALVES, atlas_names

Training = tuple[str, int]
"""Name and seed of a network."""


@dataclass(frozen=True, eq=False)
class AtlasHalf:
    """One half of an atlas without the networks whose training diverged.

    Args:
        name: `"discovery"` or `"confirmation"`.
        outcomes: of its networks, see `network_outcomes`; shared images are those that 95% of its networks have right.
        means: of its schemes.
        diverged: networks whose training diverged, which are left out.
    """

    name: str
    outcomes: pd.DataFrame
    means: SchemeMeans
    diverged: tuple[Training, ...]

    @property
    def networks(self) -> int:
        """How many were trained, diverged ones included."""
        return len(self.outcomes[["network", "seed"]].drop_duplicates()) + len(self.diverged)

    def value(self, outcome: str) -> Floats:
        """The scheme means of an outcome."""
        return self.means.values[:, self._column(outcome)]

    def against(self, predictor: str, outcome: str) -> tuple[Floats, Floats]:
        """A predictor and the means of an outcome, of the schemes that have both."""
        x, y = self.means.predictors[:, list(PREDICTORS).index(predictor)], self.value(outcome)
        known = finite(x, y)
        return x[known], y[known]

    def shared(self, outcome: str) -> Floats:
        """The same on images that nearly all networks have right."""
        return self.means.shared[:, self._column(outcome)]

    def _column(self, outcome: str) -> int:
        return list(self.means.outcomes.index).index(outcome)


def atlas_halves(
    results: pd.DataFrame, gaps: pd.DataFrame, images: ImageOutcomes | None, diverged: Collection[Training] = ()
) -> list[AtlasHalf]:
    """The halves that have networks here, discovery first; networks of other schemes are left out.

    Args:
        results, gaps, images: as for `network_outcomes`.
        diverged: the networks to leave out.
    """
    found = []
    for half in HALVES:
        names = set(atlas_names(half))
        here, kept_gaps = (frame[frame["network"].map(scheme_of).isin(names)] for frame in (results, gaps))
        lost = set(_trainings(here)) & set(diverged)
        kept, kept_gaps = (frame[[t not in lost for t in _trainings(frame)]] for frame in (here, kept_gaps))
        if len(kept):
            digests = set(kept["digest"])
            some = images and ImageOutcomes(
                {digest: network for digest, network in images.networks.items() if digest in digests},
                images.largest_eps,
                images.covered,
            )
            outcomes = network_outcomes(kept, kept_gaps, some)
            found.append(AtlasHalf(half, outcomes, scheme_means(outcomes), tuple(sorted(lost))))
    return found


def whole_study(outcomes: pd.DataFrame) -> AtlasHalf:
    """All schemes of a study that has no halves."""
    return AtlasHalf("all", outcomes, scheme_means(outcomes), ())


def scheme_of(network: str) -> str:
    """`"atlas-017"` of `"atlas-017:depth=56,widths=8-16-32"`."""
    return network.partition(":")[0]


def headline(half: AtlasHalf) -> str:
    """The mean smallest ε where it was searched, else the first outcome of robustness."""
    outcomes = half.means.outcomes
    robust = outcomes.index[outcomes["family"] == ROBUSTNESS]
    return SMALLEST_EPS if SMALLEST_EPS in robust else str(robust[0])


def _trainings(frame: pd.DataFrame) -> list[Training]:
    return [(str(n), int(s)) for n, s in zip(frame["network"], frame["seed"], strict=True)]


def finite(*columns: Floats) -> Bools:
    """Rows where all columns have a value."""
    return np.asarray(np.isfinite(np.column_stack(columns)).all(1))
