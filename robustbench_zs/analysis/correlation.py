"""Rank correlation of a property of the scheme with how its networks do, with an interval over schemes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from robustbench_zs.analysis.resampling import (
    FEWEST_SCHEMES,
    RESAMPLES,
    Floats,
    bootstrap_rows,
    correlation_of_rows,
    percentile_interval,
    ranks_of_rows,
    scheme_groups,
)
from robustbench_zs.analysis.summary import with_largest_modulus


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's ρ over networks with a percentile bootstrap interval over schemes; None where it cannot be computed."""

    rho: float | None
    low: float | None
    high: float | None
    networks: int
    schemes: int

    @property
    def finding(self) -> str:
        """What the interval allows to say."""
        if self.rho is None:
            return "cannot be computed: too few networks, or all alike"
        if self.low is None or self.high is None:
            return f"no interval: fewer than {FEWEST_SCHEMES} schemes"
        if self.low <= 0 <= self.high:
            return "no evidence of a relation: the interval spans zero"
        return "positive relation" if self.low > 0 else "negative relation"


def rank_correlation(
    predictor: Sequence[float],
    outcome: Sequence[float],
    schemes: Sequence[Hashable],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> RankCorrelation:
    """Spearman's ρ of `predictor` and `outcome`, one value a network each.

    Networks of one scheme differ only by their seed and have the same predictor, so they are no independent evidence: the
    bootstrap draws whole schemes with replacement. Its intervals are somewhat too narrow for ten schemes or fewer.
    """
    x, y = (np.asarray(v, float).round(9) for v in (predictor, outcome))  # what is equal up to rounding is a tie
    groups = scheme_groups(schemes)
    rho = _spearman(x, y)
    if rho is None or len(groups) < FEWEST_SCHEMES:
        return RankCorrelation(rho, None, None, len(x), len(groups))
    chosen = bootstrap_rows(groups, resamples, seed)
    found = np.concatenate([correlation_of_rows(ranks_of_rows(x[c]), ranks_of_rows(y[c])) for c in chosen])
    low, high = percentile_interval(found, confidence)
    return RankCorrelation(rho, low, high, len(x), len(groups))


def _spearman(x: Floats, y: Floats) -> float | None:
    if len(x) < 3 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    rho = float(correlation_of_rows(ranks_of_rows(x[None]), ranks_of_rows(y[None]))[0])
    return rho if np.isfinite(rho) else None


def modulus_correlations(results: pd.DataFrame, value: str) -> pd.DataFrame:
    """Rank correlation of the largest root modulus with `value` (`"drop"`, `"gap"`, …) for each perturbation.

    Returns:
        One row a perturbation (a single one without that column): `perturbation`, `rho`, `ci_low`, `ci_high`, `networks`,
        `schemes`, `finding`. Networks whose scheme is unknown are left out.
    """
    frame = with_largest_modulus(results)
    if "perturbation" not in frame:
        frame = frame.assign(perturbation="clean")
    rows = []
    for perturbation, networks in frame.groupby("perturbation", sort=False):
        group = networks.dropna(subset=["largest_modulus"])
        found = rank_correlation(
            group["largest_modulus"].tolist(), group[value].tolist(), [tuple(m) for m in group["moduli"]]
        )
        rows.append(
            {
                "perturbation": perturbation,
                "rho": found.rho,
                "ci_low": found.low,
                "ci_high": found.high,
                "networks": found.networks,
                "schemes": found.schemes,
                "finding": found.finding,
            }
        )
    return pd.DataFrame(rows)
