"""Linear models of ranks: how well one or two predictors of a scheme tell the rank of an outcome among schemes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from robustbench_zs.analysis.correlation import spearman
from robustbench_zs.analysis.halves import finite
from robustbench_zs.analysis.permutation import STREAM
from robustbench_zs.analysis.resampling import Floats

FOLDS = 10


@dataclass(frozen=True, eq=False)
class RankModel:
    """rank(y) = c_0 + Σ c_i rank(x_i), ranks being shares of the schemes that the model was fitted to.

    Args:
        x: schemes × predictors that it was fitted to.
        y: their outcomes.
        coefficients: c_0, c_1, …
    """

    x: Floats
    y: Floats
    coefficients: Floats

    def rank(self, x: Floats) -> Floats:
        """Predicted ranks of the outcome, about 0 to 1; rows of predictors as in `x`."""
        return np.asarray(_design(self.x, x) @ self.coefficients)

    def outcome(self, rank: Floats | float) -> Floats:
        """The outcome at a rank among the schemes of the model; ranks beyond them are taken as the nearest."""
        return np.asarray(np.quantile(self.y, np.clip(rank, 0, 1)))


def fit_ranks(x: Floats, y: Floats) -> RankModel:
    """Least squares on ranks.

    Args:
        x: schemes × predictors.
        y: their outcomes; neither has missing values.
    """
    return RankModel(x, y, np.asarray(np.linalg.lstsq(_design(x, x), ranks_among(y, y), rcond=None)[0], float))


def ranks_among(values: Floats, of: Floats) -> Floats:
    """The share of `values` that lies below each of `of`, those equal to it counting half: 0 to 1."""
    ordered = np.sort(values)
    below, up_to = np.searchsorted(ordered, of, side="left"), np.searchsorted(ordered, of, side="right")
    return np.asarray((below + up_to) / (2 * len(values)))


def _design(fitted: Floats, x: Floats) -> Floats:
    columns = [ranks_among(a, b) for a, b in zip(fitted.T, x.T, strict=True)]
    return np.column_stack([np.ones(len(x)), *columns])


def cross_validated(x: Floats, y: Floats, names: Sequence[str]) -> pd.DataFrame:
    """How every single predictor and every two of them do on schemes that the model has not seen, the best first.

    Args:
        x: schemes × predictors; predictors with missing values are left out, and schemes without an outcome.
        names: of the predictors.

    Returns:
        `predictors` (a tuple of one or two names) and `rho`, Spearman's ρ of outcomes with predictions by models that were
        fitted to the other folds.
    """
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    usable = np.flatnonzero(finite(x.T)).tolist()
    sets: list[tuple[int, ...]] = [*combinations(usable, 1), *combinations(usable, 2)]
    order = np.random.default_rng(STREAM).permutation(len(y))
    predicted = np.full((len(y), len(sets)), np.nan)
    for fold in np.array_split(order, min(FOLDS, len(y))):
        rest = np.setdiff1d(order, fold)
        seen, unseen = (_design(x[rest], x[rows]) for rows in (rest, fold))
        target = ranks_among(y[rest], y[rest])
        products, sums = seen.T @ seen, seen.T @ target
        for j, members in enumerate(sets):
            columns = np.array([0, *(i + 1 for i in members)])
            chosen = products[np.ix_(columns, columns)]
            predicted[fold, j] = unseen[:, columns] @ (np.linalg.pinv(chosen, hermitian=True) @ sums[columns])
    frame = pd.DataFrame({"predictors": [tuple(names[i] for i in members) for members in sets]})
    frame["rho"] = spearman(predicted, y[:, None])[:, 0]
    return frame.sort_values("rho", ascending=False, kind="stable", ignore_index=True)
