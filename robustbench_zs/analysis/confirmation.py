"""The test of the confirmation half, as specified in `benchmarks/atlas.md` before the half was trained."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from robustbench_zs.analysis.conclusions import direction
from robustbench_zs.analysis.correlation import correlation_interval, partial_spearman, spearman
from robustbench_zs.analysis.halves import AtlasHalf, finite
from robustbench_zs.analysis.permutation import DRAWS, LEVEL, STREAM, joint_test
from robustbench_zs.analysis.predictors import PREDICTORS
from robustbench_zs.analysis.resampling import Floats, percentile_interval

CANDIDATES = ("noise_gain", "largest_modulus", "log_modulus")
"""The three columns of `PREDICTORS` of which something is claimed; all others are reported without a claim."""

STUDIES = 3
"""Over so many studies the p-values are corrected: by Holm in `across_studies`, by Bonferroni within one study, which never
finds more."""

BOOTSTRAPS = 9_999

RELATION_COLUMNS = [
    *("predictor", "rho", "rho_low", "rho_high", "partial_rho", "shared_rho", "p", "adjusted", "adjusted_studies"),
    *("schemes", "finding"),
]


@dataclass(frozen=True, eq=False)
class Confirmation:
    """What the test finds for one outcome.

    Args:
        relations: one row per candidate with `RELATION_COLUMNS`: `adjusted` for the three candidates (step-down max-T),
            `adjusted_studies` for the three studies as well (Bonferroni).
        leads: one row per pair of candidates: `predictor`, `over`, `lead` in |ρ|, and `lead_low`, `lead_high` by a paired
            bootstrap over schemes.
    """

    outcome: str
    relations: pd.DataFrame
    leads: pd.DataFrame


def confirm(half: AtlasHalf, outcome: str, draws: int = DRAWS) -> Confirmation:
    """Test the candidates against one outcome over the schemes of a half.

    Args:
        draws: permutations beyond eight schemes.
    """
    x = half.means.predictors[:, [list(PREDICTORS).index(name) for name in CANDIDATES]]
    y, shared, clean = half.value(outcome), half.shared(outcome), half.means.clean
    known = finite(x, y)
    x, y, shared, clean = x[known], y[known], shared[known], clean[known]
    frame = relations(x, y, shared, clean, CANDIDATES)
    test = joint_test(x, y[:, None], [np.ones((len(CANDIDATES), 1), np.bool_)], strata=half.means.strata[known], draws=draws)
    frame["p"], frame["adjusted"] = test.p[:, 0], test.adjusted[0][:, 0]
    frame["adjusted_studies"] = np.minimum(1, STUDIES * frame["adjusted"])
    frame["finding"] = [finding(row) for _, row in frame.iterrows()]
    pairs = [
        {"predictor": CANDIDATES[i], "over": CANDIDATES[j], **lead(x[:, i], x[:, j], y)}
        for i, j in combinations(range(len(CANDIDATES)), 2)
    ]
    return Confirmation(outcome, frame[RELATION_COLUMNS], pd.DataFrame(pairs))


def relations(x: Floats, y: Floats, shared: Floats, clean: Floats, names: tuple[str, ...]) -> pd.DataFrame:
    """Spearman's ρ of every column of x with y, its interval, and its two checks; one row per column.

    Args:
        shared: y on images that nearly all networks have right.
        clean: clean accuracies.
    """
    rho = spearman(x, y[:, None])[:, 0]
    known = [int(finite(column, y).sum()) for column in x.T]
    bounds = [correlation_interval(r, n) for r, n in zip(rho, known, strict=True)]
    return pd.DataFrame(
        {
            "predictor": names,
            "rho": rho,
            "rho_low": [low for low, _ in bounds],
            "rho_high": [high for _, high in bounds],
            "partial_rho": partial_spearman(x, y[:, None], clean[:, None])[:, 0],
            "shared_rho": spearman(x, shared[:, None])[:, 0],
            "schemes": known,
        }
    )


def finding(row: pd.Series) -> str:
    """What may be stated of a relation; `row` has the columns of `Confirmation.relations` up to the last."""
    if np.isnan(row["rho"]):
        return "cannot be computed: too few schemes, or all alike"
    if row["adjusted_studies"] > LEVEL:
        return "not established"
    return direction(row.to_dict())


def lead(first: Floats, second: Floats, y: Floats, draws: int = BOOTSTRAPS) -> dict[str, float]:
    """|ρ| of the first predictor with y less that of the second, with a 95% interval by a paired bootstrap over schemes."""
    rows = np.random.default_rng(STREAM).integers(len(y), size=(draws, len(y)))
    resampled = np.concatenate([_strengths(*(v[chunk] for v in (first, second, y))) for chunk in np.array_split(rows, 50)])
    low, high = percentile_interval(resampled)
    every = np.arange(len(y))[None]
    (observed,) = _strengths(*(v[every] for v in (first, second, y)))
    bounds = {"lead_low": low, "lead_high": high}
    return {"lead": float(observed), **{name: np.nan if bound is None else bound for name, bound in bounds.items()}}


def _strengths(first: Floats, second: Floats, y: Floats) -> Floats:
    """The lead in each row of draws × schemes; NaN where a draw is constant."""
    a, b, c = (_standard(values) for values in (first, second, y))
    return np.asarray(np.abs((a * c).sum(1)) - np.abs((b * c).sum(1)))


def _standard(values: Floats) -> Floats:
    ranks = rankdata(values, axis=1)
    centred = ranks - ranks.mean(1, keepdims=True)
    length = np.sqrt((centred**2).sum(1, keepdims=True))
    return np.asarray(np.divide(centred, length, out=np.full_like(centred, np.nan), where=length > 0))
