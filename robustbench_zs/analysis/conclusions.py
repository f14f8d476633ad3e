"""What can be concluded from a study: which outcome correlates with which quantity of the scheme, tested jointly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from robustbench_zs.analysis.correlation import (
    MIN_FOR_A_STATEMENT,
    correlation_interval,
    partial_spearman,
    spearman,
)
from robustbench_zs.analysis.effect_size import EffectSize, effect_size
from robustbench_zs.analysis.leads import MIN_TO_SEPARATE, critical_of_leads, lead_interval
from robustbench_zs.analysis.network_outcomes import ON_CLEAN_IMAGES, ROBUSTNESS
from robustbench_zs.analysis.permutation import DRAWS, LEVEL, JointTest, joint_test
from robustbench_zs.analysis.predictors import LARGEST_MODULUS, PREDICTORS
from robustbench_zs.analysis.reliability import MIN_RELIABILITY
from robustbench_zs.analysis.resampling import Floats
from robustbench_zs.analysis.scheme_means import SchemeMeans, scheme_means

ZERO_STABLE = "zero_stable"
ALL = "all"
NOTHING = "nothing to predict: the schemes do not differ in this"
ESTABLISHED = "established"
NO_DIRECTION = "no direction"
"""What a finding begins with where chance is ruled out, but a second look has another sign."""
CHECKS = {
    "shared_rho": "on images that nearly all networks classify correctly",
    "partial_rho": "given the clean accuracy",
}
"""Columns that must agree in sign with ρ before a direction of robustness is stated."""

RELATION_COLUMNS = [
    *("outcome", "kind", "family", "predictor", "rho", "rho_low", "rho_high", "shared_rho", "partial_rho"),
    *("p", "adjusted", "adjusted_of", "reliability", "networks", "schemes", "finding"),
]
BEST_COLUMNS = [
    *(*RELATION_COLUMNS[:3], "best", *RELATION_COLUMNS[4:]),
    *("other", "other_rho", "between", "lead", "lead_low", "lead_high"),
]
EFFECT_COLUMNS = [
    *("outcome", "kind", "family", "p", "adjusted", "adjusted_of"),
    *EffectSize.__dataclass_fields__,
    "finding",
]


@dataclass(frozen=True, eq=False)
class Conclusions:
    """The relations of a study, with p-values from one joint permutation of its schemes.

    Args:
        modulus: the largest modulus with every outcome; one row per outcome with `RELATION_COLUMNS`: Spearman's `rho` over
            scheme means with its 95% interval, the same on images that nearly all networks classify correctly
            (`shared_rho`) and given the clean accuracy (`partial_rho`), the p-value of it alone and adjusted for the
            `adjusted_of` members of its family, the outcome's `reliability`, and what may be said.
        predictors: every predictor with every outcome, likewise; the families are outcomes × predictors.
        best: one row per outcome: its `best` predictor with the columns above, and the `other` that it is compared with, the
            largest modulus or else the next best: `other_rho`, `between` (their correlation), `lead` in |ρ| with `lead_low`
            and `lead_high`, which hold together for all pairs of predictors; null below `MIN_TO_SEPARATE` schemes.
        effects: one row per outcome: the fields of `EffectSize`, `p`, `adjusted`, `adjusted_of`, `finding`.
        together: p-value of all families of tests together, and of those on each kind of outcomes. Where one exceeds `LEVEL`
            nothing is stated of its outcomes: so at most 5% of reports state anything where there is nothing.
        critical: for each family of the largest modulus the least |ρ| of its largest that is significant.
        schemes: how many there are.
    """

    modulus: pd.DataFrame
    predictors: pd.DataFrame
    best: pd.DataFrame
    effects: pd.DataFrame
    together: Mapping[str, float]
    critical: Mapping[str, float | None]
    schemes: int


def conclude(outcomes: pd.DataFrame, draws: int = DRAWS) -> Conclusions:
    """Relate every outcome of a family to the largest modulus, to the best of all predictors and to zero-stability.

    Args:
        outcomes: see `network_outcomes`.
        draws: permutations beyond eight schemes.
    """
    means = scheme_means(outcomes)
    x = np.column_stack([means.predictors, means.zero_stable])
    families, names = _families(means)
    groups = {family: [i for i, (_, of) in enumerate(names) if of == family] for family in (ON_CLEAN_IMAGES, ROBUSTNESS)}
    groups[ALL] = [*range(len(names))]
    test = joint_test(x, means.values, families, list(groups.values()), means.strata, draws)
    together = dict(zip(groups, test.together, strict=True))
    adjusted = dict(zip(names, test.adjusted, strict=True))
    rows = _relations(means, x, test)

    def relations(what: str, chosen: list[str]) -> pd.DataFrame:
        made = [
            row | _verdict(row, adjusted[what, row["family"]], max(together[row["family"]], together[ALL]))
            for row in rows
            if row["predictor"] in chosen
        ]
        columns = [*RELATION_COLUMNS, "row", "column"]
        return pd.DataFrame(made, columns=columns).drop(columns=["row", "column"])

    predictors = relations("best", list(PREDICTORS))
    critical = dict(zip(names, test.critical, strict=True))
    return Conclusions(
        modulus=relations("modulus", [LARGEST_MODULUS]),
        predictors=predictors,
        best=_best(means, predictors),
        effects=_effects(means, relations("stability", [ZERO_STABLE])),
        together=together,
        critical={family: critical.get(("modulus", family)) for family in (ON_CLEAN_IMAGES, ROBUSTNESS)},
        schemes=len(means),
    )


def _families(means: SchemeMeans) -> tuple[list[Any], list[tuple[str, str]]]:
    """Outcomes on clean images, then of robustness, with the largest modulus, with all predictors, with zero-stability."""
    columns = [*PREDICTORS, ZERO_STABLE]
    members = {
        "modulus": [c == LARGEST_MODULUS for c in columns],
        "best": [c != ZERO_STABLE for c in columns],
        "stability": [c == ZERO_STABLE for c in columns],
    }
    families, names = [], []
    for family in (ON_CLEAN_IMAGES, ROBUSTNESS):
        for what, chosen in members.items():
            families.append(np.outer(chosen, means.outcomes["family"] == family))
            names.append((what, family))
    return families, names


def _relations(means: SchemeMeans, x: Floats, test: JointTest) -> list[dict[str, Any]]:
    """Each predictor, zero-stability last, with each outcome; without adjusted p-values."""
    rho, shared = spearman(x, means.values), spearman(x, means.shared)
    partial = partial_spearman(x, means.values, means.clean[:, None])
    known = np.isfinite(x).T.astype(int) @ np.isfinite(means.values).astype(int)
    spread = np.nanmax(means.values, 0, initial=-np.inf) - np.nanmin(means.values, 0, initial=np.inf)
    rows = []
    for j, (outcome, found) in enumerate(means.outcomes.to_dict("index").items()):
        facts = {str(column): value for column, value in found.items()}
        robust = facts["family"] == ROBUSTNESS
        for i, predictor in enumerate([*PREDICTORS, ZERO_STABLE]):
            low, high = correlation_interval(rho[i, j], known[i, j])
            rows.append(
                {
                    "outcome": outcome,
                    **facts,
                    "predictor": predictor,
                    "rho": rho[i, j],
                    "rho_low": low,
                    "rho_high": high,
                    "shared_rho": shared[i, j] if robust else np.nan,
                    "partial_rho": partial[i, j] if robust else np.nan,
                    "p": test.p[i, j] if np.isfinite(rho[i, j]) else np.nan,
                    "schemes": int(known[i, j]),
                    "differ": spread[j] > 0,
                    "row": i,
                    "column": j,
                }
            )
    return rows


def _verdict(row: dict[str, Any], adjusted: Floats, together: float) -> dict[str, Any]:
    """The p-value adjusted for the family, and what may be said of the relation."""
    here = adjusted[row["row"], row["column"]] if np.isfinite(row["rho"]) else np.nan
    return {
        "adjusted": here,
        "adjusted_of": int(np.isfinite(adjusted).sum()),
        "finding": _finding(row, here, together),
    }


def _finding(row: dict[str, Any], adjusted: float, together: float) -> str:
    if not row["differ"] or row["reliability"] < MIN_RELIABILITY:
        return NOTHING
    if np.isnan(row["rho"]):
        return "cannot be computed: too few schemes, or all alike"
    if row["schemes"] < MIN_FOR_A_STATEMENT:
        return f"not established: fewer than {MIN_FOR_A_STATEMENT} schemes"
    if adjusted > LEVEL:
        return "not established"
    if together > LEVEL:
        return "not established: all relations taken together could be chance"
    return direction(row, CHECKS if row["family"] == ROBUSTNESS else {})


def direction(row: Mapping[Any, Any], checks: Mapping[str, str] = CHECKS) -> str:
    """What may be said of the direction of a relation that is no chance; `row` has `rho` and the column of each check."""
    for column, where in checks.items():
        if np.isnan(row[column]):
            return f"{NO_DIRECTION}: not known {where}"
        if row[column] * row["rho"] <= 0:
            return f"{NO_DIRECTION}: the sign does not hold {where}"
    return f"{ESTABLISHED}, {'rising' if row['rho'] > 0 else 'falling'}"


def _best(means: SchemeMeans, predictors: pd.DataFrame) -> pd.DataFrame:
    """The predictor with the largest |ρ| of each outcome, among those that all schemes have."""
    between = pd.DataFrame(spearman(means.predictors, means.predictors), [*PREDICTORS], [*PREDICTORS])
    rows: list[dict[str, Any]] = []
    for _, group in predictors.groupby("outcome", sort=False):
        facts: dict[str, Any] = {str(row.pop("predictor")): row for row in group.to_dict("records")}
        rhos = {name: row["rho"] for name, row in facts.items() if row["schemes"] == len(means) and abs(row["rho"]) <= 1}
        ranking = sorted(rhos, key=lambda name: -round(abs(rhos[name]), 9))
        if not ranking:
            rows.append(facts[LARGEST_MODULUS] | {"rho": np.nan})
            continue
        row = facts[ranking[0]] | {"best": ranking[0]}
        rows.append(row)
        if len(ranking) == 1:
            continue
        other = LARGEST_MODULUS if LARGEST_MODULUS in ranking[1:] else ranking[1]
        row |= {"other": other, "other_rho": rhos[other], "between": between.loc[row["best"], other]}
        if len(means) >= MIN_TO_SEPARATE:
            order = [row["best"], other, *(name for name in ranking if name not in (row["best"], other))]
            among = between.loc[order, order].to_numpy()
            row |= _lead(np.array([rhos[name] for name in order]), among, len(means))
    return pd.DataFrame(rows, columns=BEST_COLUMNS)


def _lead(rhos: Floats, between: Floats, schemes: int) -> dict[str, float]:
    """The lead of the first predictor over the second in |ρ|; signs are turned so that all go with the outcome alike."""
    strengths, between = np.abs(rhos), between * np.outer(np.sign(rhos), np.sign(rhos))
    critical = critical_of_leads(strengths, between)
    low, high = lead_interval(strengths[0], strengths[1], between[0, 1], schemes, critical)
    return {"lead": strengths[0] - strengths[1], "lead_low": low, "lead_high": high}


def _effects(means: SchemeMeans, stability: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for j, row in enumerate(stability.to_dict("records")):
        known = np.isfinite(means.values[:, j])
        sides = [means.values[known & (means.zero_stable == side), j] for side in (0, 1)]
        facts = {name: row[name] for name in ("outcome", "kind", "family", "p", "adjusted", "adjusted_of")}
        finding = ESTABLISHED if row["finding"].startswith(ESTABLISHED) else row["finding"]
        rows.append(facts | asdict(effect_size(*sides)) | {"finding": finding})
    return pd.DataFrame(rows, columns=EFFECT_COLUMNS).astype(dict.fromkeys(EFFECT_COLUMNS[6:10], float))
