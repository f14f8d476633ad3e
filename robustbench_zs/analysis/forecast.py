"""What the atlas predicts for a scheme: a model of two predictors from discovery, its interval from confirmation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from robustbench_zs.analysis.halves import finite
from robustbench_zs.analysis.predictors import PREDICTORS, scheme_predictors
from robustbench_zs.analysis.rank_regression import RankModel, cross_validated, fit_ranks, ranks_among
from robustbench_zs.analysis.resampling import Floats
from robustbench_zs.networks.spec import default_block, stages_of
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.schemes.atlas import HALVES, atlas_names, atlas_scheme
from robustbench_zs.schemes.measured import measured

MAX_ORDER = 4
OUTCOMES = ("clean_accuracy", "smallest_eps")


@dataclass(frozen=True)
class Forecast:
    """The predicted outcome of a network; `value` is None for schemes that the atlas does not cover, and `outside` says why.

    Args:
        low, high: bounds that hold 95% of new schemes of the design: split conformal, calibrated on the confirmation half.
            None with fewer than 39 schemes there.
        predictors: those of the model.
    """

    dataset: str
    outcome: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    predictors: tuple[str, ...] = ()
    outside: str = ""


def forecasts(scheme: MultistepScheme, depth: int) -> list[Forecast]:
    """The forecasts of a scheme, one per outcome and dataset of the atlas with networks of that depth.

    The list is empty if the atlas has measured nothing yet.

    Raises:
        RequestError: a depth that no network has, or fewer blocks than the order of the scheme.
    """
    found = []
    for dataset, rows in measured().items():
        there = {int(row["depth"] or 0) for row in rows.values()}
        if depth in there:
            found += [_forecast(scheme, depth, dataset, outcome) for outcome in OUTCOMES]
    if measured() and not found:
        depths = sorted({int(row["depth"] or 0) for rows in measured().values() for row in rows.values()})
        return [Forecast("", "", outside=f"its networks have {' or '.join(map(str, depths))} layers, not {depth}")]
    return found


def _forecast(scheme: MultistepScheme, depth: int, dataset: str, outcome: str) -> Forecast:
    if reason := outside(scheme, depth, dataset):
        return Forecast(dataset, outcome, outside=reason)
    model, names, low, high = calibrated(dataset, outcome, depth)
    x = _matrix([scheme], depth)[:, [list(PREDICTORS).index(name) for name in names]]
    rank = model.rank(x)
    (value,), *bounds = (model.outcome(rank + shift) for shift in (0.0, low, high))
    (bottom, top) = (None if math.isinf(shift) else float(b[0]) for shift, b in zip((low, high), bounds, strict=True))
    return Forecast(dataset, outcome, float(value), bottom, top, names)


def outside(scheme: MultistepScheme, depth: int, dataset: str) -> str:
    """Why the atlas does not cover a scheme; empty where it does."""
    if scheme.beta is None:
        return "β is not known"
    if scheme.order > MAX_ORDER:
        return f"its schemes have orders 1 to {MAX_ORDER}, not {scheme.order}"
    design = _design(dataset, depth)
    (here,) = _matrix([scheme], depth)
    low, high = np.nanmin(design, 0), np.nanmax(design, 0)
    beyond = [
        f"{words} {here[i]:.3g} outside {low[i]:.3g} to {high[i]:.3g}"
        for i, words in enumerate(PREDICTORS.values())
        if not low[i] <= here[i] <= high[i]
    ]
    return "; ".join(beyond[:2]) + (f" and {len(beyond) - 2} more" if len(beyond) > 2 else "")


@cache
def calibrated(dataset: str, outcome: str, depth: int) -> tuple[RankModel, tuple[str, ...], float, float]:
    """The model of two that predicts discovery best when cross-validated, and the 2.5% and 97.5% bounds of what
    is missing to the ranks of confirmation; infinite with too few schemes for one."""
    x, y = _design(dataset, depth), np.array([row[outcome] for row in measured()[dataset].values()], float)
    discovery = np.array([name in atlas_names(HALVES[0]) for name in measured()[dataset]])
    usable = np.flatnonzero(finite(x.T))
    known = np.isfinite(y)
    ranking = cross_validated(x[discovery][:, usable], y[discovery], [list(PREDICTORS)[i] for i in usable])
    pair: tuple[str, ...] = next(names for names in ranking["predictors"] if len(names) == 2)
    columns = [list(PREDICTORS).index(name) for name in pair]
    model = fit_ranks(x[discovery & known][:, columns], y[discovery & known])
    rest = ~discovery & known
    missing = np.sort(ranks_among(model.y, y[rest]) - model.rank(x[rest][:, columns]))
    below, above = math.floor(0.025 * (len(missing) + 1)), math.ceil(0.975 * (len(missing) + 1))
    if below < 1:
        return model, pair, -math.inf, math.inf
    return model, pair, float(missing[below - 1]), float(missing[above - 1])


@cache
def _design(dataset: str, depth: int) -> Floats:
    return _matrix([atlas_scheme(name) for name in measured()[dataset]], depth)


def _matrix(schemes: list[MultistepScheme], depth: int) -> Floats:
    """Schemes × `PREDICTORS`."""
    stages = stages_of(depth, default_block(depth))
    rows = [list(scheme_predictors(scheme, sum(stages), max(stages)).values()) for scheme in schemes]
    return np.array(rows, float)
