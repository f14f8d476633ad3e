"""Several predictors side by side: which one goes with an outcome most closely, and is that more than noise?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from robustbench_zs.analysis import resampling
from robustbench_zs.analysis.network_outcomes import DROP
from robustbench_zs.analysis.predictors import LARGEST_MODULUS, PREDICTORS, network_predictors, round_significant
from robustbench_zs.analysis.resampling import FEWEST_SCHEMES, Floats, Indices

LOGARITHMIC = ("impulse_supremum", "amplification")
"""Growth factors over orders of magnitude: Pearson's r takes log(1 + x) of them, for which ranks make no difference."""


@dataclass(frozen=True)
class _Networks:
    """Networks that an outcome is known of: what all outcomes of these networks share.

    `samples` are the networks as they are (one row), then the resamples; ranks go with them, array by array.
    """

    predictors: dict[str, Floats]
    schemes: int
    samples: list[Indices]
    ranks: dict[str, list[Floats]]
    permuted: Indices
    permuted_ranks: dict[str, Floats]
    exact: bool


def predictor_comparison(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Every predictor with every outcome.

    Intervals are 95% percentile bootstraps over schemes, seeds staying with their scheme; all predictors of an outcome
    share their resamples, so that differences are paired. P-values permute whole schemes (`permuted_rows`), two-sided, not
    adjusted for the number of pairs. Predictors and outcomes equal to 9 significant digits are ties.

    Args:
        outcomes: see `network_outcomes`; networks whose scheme is unknown are left out.

    Returns:
        One row an outcome and predictor: `outcome`, `kind`, `predictor`, Spearman's `rho` with `rho_low`, `rho_high`,
        `rho_p`, Pearson's `r` with `r_low`, `r_high`, `r_p` (of `LOGARITHMIC` predictors after log(1 + x)), for drops the
        rank correlation given clean accuracy `partial`, `partial_low`, `partial_high`, then `difference` = |ρ| − |ρ of the
        largest modulus| with `difference_low`, `difference_high`, `best` (largest |ρ| of the outcome, the earlier of
        equals), `networks`, `schemes`. Null where it cannot be computed; a predictor that some networks lack has
        correlations over the others, no difference, and is never best.
    """
    known = [network_predictors(n, m) for n, m in zip(outcomes["network"], outcomes["moduli"], strict=True)]
    frame = outcomes.assign(predictors=pd.Series(known, outcomes.index, object))
    frame = frame[[k is not None for k in known]]
    shared: dict[Any, _Networks] = {}
    rows: list[dict[str, Any]] = []
    for outcome, group in frame.groupby("outcome", sort=False):
        ids = tuple(zip(group["network"], group["seed"].astype(str), strict=True))
        key = ids if len(set(ids)) == len(ids) else (outcome, ids)
        if key not in shared:
            shared[key] = _networks(group["predictors"].tolist())
        rows += _outcome_rows(str(outcome), group, shared[key])
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COLUMNS[3:17], float))


COLUMNS = [
    *("outcome", "kind", "predictor"),
    *("rho", "rho_low", "rho_high", "rho_p", "r", "r_low", "r_high", "r_p", "partial", "partial_low", "partial_high"),
    *("difference", "difference_low", "difference_high", "best", "networks", "schemes"),
]


def _networks(known: list[Any]) -> _Networks:
    numbers = {scheme: i for i, scheme in enumerate(dict.fromkeys(k.scheme for k in known))}
    schemes = [numbers[k.scheme] for k in known]  # schemes hash and compare in rational arithmetic, which takes its time
    samples = [np.arange(len(known))[None]]
    if len(numbers) >= FEWEST_SCHEMES:
        samples += resampling.bootstrap_rows(resampling.scheme_groups(schemes))
    permuted, exact = resampling.permuted_rows(schemes, [k.cell for k in known])
    predictors = {name: np.asarray([k.values[name] for k in known], float) for name in PREDICTORS}
    return _Networks(
        predictors=predictors,
        schemes=len(numbers),
        samples=samples,
        ranks={name: _ranks(x, samples) for name, x in predictors.items()},
        permuted=permuted,
        permuted_ranks={name: resampling.ranks_of_rows(x[permuted]) for name, x in predictors.items()},
        exact=exact,
    )


def _outcome_rows(outcome: str, group: pd.DataFrame, networks: _Networks) -> list[dict[str, Any]]:
    kind = str(group["kind"].iloc[0])
    start = {"outcome": outcome, "kind": kind}
    whole = [name for name, x in networks.predictors.items() if np.isfinite(x).all()]
    found = {name: (start | {"predictor": name} | row, draws) for name, row, draws in _correlations(group, networks, whole)}
    rhos = {name: abs(row["rho"]) for name, (row, _) in found.items() if np.isfinite(row["rho"])}
    best = max(rhos, key=lambda name: round(rhos[name], 9), default=None)
    rows = []
    for name, x in networks.predictors.items():
        if name not in found:
            some = group[np.isfinite(x)]
            ((_, row, _),) = _correlations(some, _networks(some["predictors"].tolist()), [name])
            rows.append(start | {"predictor": name} | row | {"best": False})
            continue
        row, draws = found[name]
        row["best"] = name == best
        if name in rhos and LARGEST_MODULUS in rhos:
            row["difference"] = rhos[name] - rhos[LARGEST_MODULUS]
            row["difference_low"], row["difference_high"] = resampling.percentile_interval(
                np.abs(draws) - np.abs(found[LARGEST_MODULUS][1])
            )
        rows.append(row)
    return rows


def _correlations(
    group: pd.DataFrame, networks: _Networks, names: list[str]
) -> Iterator[tuple[str, dict[str, Any], Floats]]:
    """For each of these predictors its name, its row of correlations and Spearman's ρ of the resamples."""
    y = np.asarray([round_significant(v) for v in group["value"]], float)
    z = np.asarray(group["clean_accuracy"], float)
    size: dict[str, Any] = {"networks": len(y), "schemes": networks.schemes}
    if len(y) < 3:
        yield from ((name, size | {"rho": np.nan}, np.empty(0)) for name in names)
        return
    samples = networks.samples
    y_ranks = _ranks(y, samples)
    partial = bool(group["kind"].iloc[0] == DROP and np.isfinite(z).all())
    z_ranks = _ranks(z, samples) if partial else []
    yz = _correlate(y_ranks, z_ranks) if partial else np.empty(0)
    for name in names:
        x_ranks = networks.ranks[name]
        spread = np.log1p(networks.predictors[name]) if name in LOGARITHMIC else networks.predictors[name]
        row = dict(size)
        rho = _correlate(x_ranks, y_ranks)
        r = _correlate([spread[c] for c in samples], [y[c] for c in samples])
        _enter(row, "rho", rho)
        _enter(row, "r", r)
        if np.isfinite(rho[0]):
            shape = networks.permuted.shape
            for statistic, permuted, fixed in (
                ("rho", networks.permuted_ranks[name], y_ranks[0][0]),
                ("r", spread[networks.permuted], y),
            ):
                drawn = resampling.correlation_of_rows(permuted, np.broadcast_to(fixed, shape))
                row[f"{statistic}_p"] = resampling.permutation_p_value(row[statistic], drawn, networks.exact)
        if partial:
            _enter(row, "partial", resampling.partial_correlation(rho, _correlate(x_ranks, z_ranks), yz))
        yield name, row, rho[1:]


def _ranks(values: Floats, samples: list[Indices]) -> list[Floats]:
    return [resampling.ranks_of_rows(values[chosen]) for chosen in samples]


def _correlate(a: list[Floats], b: list[Floats]) -> Floats:
    """The correlation of the whole sample, then those of all resamples."""
    return np.concatenate([resampling.correlation_of_rows(x, y) for x, y in zip(a, b, strict=True)])


def _enter(row: dict[str, Any], name: str, values: Floats) -> None:
    row[name] = values[0]
    row[f"{name}_low"], row[f"{name}_high"] = resampling.percentile_interval(values[1:])


def best_predictors(comparison: pd.DataFrame) -> pd.DataFrame:
    """One row an outcome: which predictor goes with it most closely, and against which other that is measured.

    The other is the largest modulus, or the next best where that one is the best. Columns: `outcome, best, rho, other,
    other_rho, difference, difference_low, difference_high` (of |ρ|, best − other) and `finding`; null where there is none.
    """
    rows: list[dict[str, Any]] = []
    for outcome, group in comparison.groupby("outcome", sort=False):
        found = group[group["best"]]
        if found.empty:
            rows.append({"outcome": outcome, "finding": "cannot be computed: too few networks, or all alike"})
            continue
        best = found.iloc[0]
        row: dict[str, Any] = {"outcome": outcome, "best": best["predictor"], "rho": best["rho"]}
        rows.append(row)
        if best["predictor"] == LARGEST_MODULUS:
            others = group[(group["predictor"] != LARGEST_MODULUS) & group["difference"].notna()]
            if others.empty:
                row["finding"] = "there is no other to compare it with"
                continue
            other = others.iloc[int(others["rho"].abs().argmax())]
            bounds = other[["difference", "difference_high", "difference_low"]] * -1
        else:
            other = group[group["predictor"] == LARGEST_MODULUS].iloc[0]
            if pd.isna(other["rho"]):
                row["finding"] = "the largest modulus is the same for all networks and says nothing"
                continue
            bounds = best[["difference", "difference_low", "difference_high"]]
        row |= {"other": other["predictor"], "other_rho": other["rho"]}
        row |= dict(zip(("difference", "difference_low", "difference_high"), map(float, bounds), strict=True))
        row["finding"] = (
            f"without an interval: fewer than {FEWEST_SCHEMES} schemes"
            if pd.isna(row["difference_low"])
            else "more than noise by this interval, though the best of several was picked after looking"
            if row["difference_low"] > 0
            else "within noise: the interval reaches zero"
        )
    columns = ["outcome", "best", "rho", "other", "other_rho", "difference", "difference_low", "difference_high", "finding"]
    return pd.DataFrame(rows, columns=columns)


def comparison_sentences(comparison: pd.DataFrame) -> list[str]:
    """The rows of `best_predictors` in words."""
    return [_comparison_sentence(row) for _, row in best_predictors(comparison).iterrows()]


def _comparison_sentence(row: pd.Series) -> str:
    outcome = f"{row['outcome'][0].upper()}{row['outcome'][1:]}"
    if pd.isna(row["best"]):
        return f"{outcome}: {row['finding']}."
    start = f"{outcome}: the {PREDICTORS[row['best']]} predicts it best, ρ = {row['rho']:.2f}"
    if pd.isna(row["other"]):
        return f"{start}; {row['finding']}."
    other = f"the {PREDICTORS[row['other']]} has ρ = {row['other_rho']:.2f}"
    bounds = "" if pd.isna(row["difference_low"]) else f" [{row['difference_low']:.2f}, {row['difference_high']:.2f}]"
    return f"{start}; {other}. The difference in |ρ| is {row['difference']:.2f}{bounds}, {row['finding']}."
