"""Several predictors side by side: which one goes with an outcome most closely, and is that more than noise?"""

from __future__ import annotations

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
    """Networks that an outcome is known of: predictors by name, and the resamples and permutations that outcomes share."""

    predictors: dict[str, Floats]
    schemes: int
    bootstrap: list[Indices]
    permuted: Indices
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
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COLUMNS[3:16], float))


COLUMNS = [
    *("outcome", "kind", "predictor"),
    *("rho", "rho_low", "rho_high", "rho_p", "r", "r_low", "r_high", "r_p", "partial", "partial_low", "partial_high"),
    *("difference", "difference_low", "difference_high", "best", "networks", "schemes"),
]


def _networks(known: list[Any]) -> _Networks:
    schemes, cells = [k.scheme for k in known], [k.cell for k in known]
    groups = resampling.scheme_groups(schemes)
    permuted, exact = resampling.permuted_rows(schemes, cells)
    return _Networks(
        predictors={name: np.asarray([k.values[name] for k in known], float) for name in PREDICTORS},
        schemes=len(groups),
        bootstrap=resampling.bootstrap_rows(groups) if len(groups) >= FEWEST_SCHEMES else [],
        permuted=permuted,
        exact=exact,
    )


def _outcome_rows(outcome: str, group: pd.DataFrame, networks: _Networks) -> list[dict[str, Any]]:
    kind = str(group["kind"].iloc[0])
    y = np.asarray([round_significant(v) for v in group["value"]], float)
    z = np.asarray(group["clean_accuracy"], float)
    rows: list[dict[str, Any]] = []
    draws: dict[str, Floats] = {}
    for name, x in networks.predictors.items():
        if not np.isfinite(x).all():
            some = group[np.isfinite(x)]
            rows.append(_of_some(outcome, kind, name, some))
            continue
        row: dict[str, Any] = {"outcome": outcome, "kind": kind, "predictor": name}
        row["networks"], row["schemes"] = len(y), networks.schemes
        draws[name] = _correlations(row, x, y, z if kind == DROP else None, networks, name in LOGARITHMIC)
        rows.append(row)
    rhos = {r["predictor"]: abs(r["rho"]) for r in rows if r["predictor"] in draws and np.isfinite(r["rho"])}
    best = max(rhos, key=lambda name: round(rhos[name], 9), default=None)
    for row in rows:
        name = row["predictor"]
        row["best"] = name == best
        if name in rhos and LARGEST_MODULUS in rhos:
            row["difference"] = rhos[name] - rhos[LARGEST_MODULUS]
            row["difference_low"], row["difference_high"] = resampling.percentile_interval(
                np.abs(draws[name]) - np.abs(draws[LARGEST_MODULUS])
            )
    return rows


def _of_some(outcome: str, kind: str, name: str, group: pd.DataFrame) -> dict[str, Any]:
    """The row of a predictor that only these networks have."""
    row: dict[str, Any] = {"outcome": outcome, "kind": kind, "predictor": name}
    networks = _networks(group["predictors"].tolist())
    row["networks"], row["schemes"] = len(group), networks.schemes
    if len(group):
        y = np.asarray([round_significant(v) for v in group["value"]], float)
        z = np.asarray(group["clean_accuracy"], float) if kind == DROP else None
        _correlations(row, networks.predictors[name], y, z, networks, name in LOGARITHMIC)
    return row


def _correlations(
    row: dict[str, Any], x: Floats, y: Floats, z: Floats | None, networks: _Networks, logarithmic: bool
) -> Floats:
    """Enter the correlations of x and y, for z also the partial one, into the row; Spearman's ρ of the resamples."""
    if len(y) < 3:
        row["rho"] = np.nan
        return np.empty(0)
    spread = np.log1p(x) if logarithmic else x
    whole = np.arange(len(y))[None]
    rho = _spearman(x, y, whole)
    row["rho"], row["r"] = rho[0], resampling.correlation_of_rows(spread[None], y[None])[0]
    rho_draws = _over(networks.bootstrap, lambda c: _spearman(x, y, c))
    row["rho_low"], row["rho_high"] = resampling.percentile_interval(rho_draws)
    r_draws = _over(networks.bootstrap, lambda c: resampling.correlation_of_rows(spread[c], y[c]))
    row["r_low"], row["r_high"] = resampling.percentile_interval(r_draws)
    if np.isfinite(rho[0]):
        fixed = np.broadcast_to(y, networks.permuted.shape)
        ranks = np.broadcast_to(resampling.ranks_of_rows(y[None]), networks.permuted.shape)
        permuted_rho = resampling.correlation_of_rows(resampling.ranks_of_rows(x[networks.permuted]), ranks)
        permuted_r = resampling.correlation_of_rows(spread[networks.permuted], fixed)
        row["rho_p"] = resampling.permutation_p_value(rho[0], permuted_rho, networks.exact)
        row["r_p"] = resampling.permutation_p_value(row["r"], permuted_r, networks.exact)
    if z is not None and np.isfinite(z).all():
        row["partial"] = _partial(x, y, z, whole)[0]
        partial_draws = _over(networks.bootstrap, lambda c: _partial(x, y, z, c))
        row["partial_low"], row["partial_high"] = resampling.percentile_interval(partial_draws)
    return rho_draws


def _over(bootstrap: list[Indices], statistic: Any) -> Floats:
    return np.concatenate([statistic(chosen) for chosen in bootstrap]) if bootstrap else np.empty(0)


def _spearman(x: Floats, y: Floats, chosen: Indices) -> Floats:
    return resampling.correlation_of_rows(resampling.ranks_of_rows(x[chosen]), resampling.ranks_of_rows(y[chosen]))


def _partial(x: Floats, y: Floats, z: Floats, chosen: Indices) -> Floats:
    xy, xz, yz = (_spearman(a, b, chosen) for a, b in ((x, y), (x, z), (y, z)))
    return resampling.partial_correlation(xy, xz, yz)


def comparison_sentences(comparison: pd.DataFrame) -> list[str]:
    """For each outcome which predictor goes with it most closely, and whether it does better than the largest modulus."""
    sentences = []
    for outcome, group in comparison.groupby("outcome", sort=False):
        found = group[group["best"]]
        modulus = group[group["predictor"] == LARGEST_MODULUS]
        if found.empty or modulus.empty or pd.isna(modulus["rho"].iloc[0]):
            sentences.append(f"{_capital(str(outcome))}: cannot be computed, too few networks, or all alike.")
            continue
        best, modulus_rho = found.iloc[0], modulus["rho"].iloc[0]
        start = f"{_capital(str(outcome))}: the {PREDICTORS[best['predictor']]} predicts it best, ρ = {best['rho']:.2f}"
        if best["predictor"] != LARGEST_MODULUS:
            sentences.append(f"{start}; the largest modulus has ρ = {modulus_rho:.2f}. {_difference_text(best)}.")
            continue
        others = group[(group["predictor"] != LARGEST_MODULUS) & group["difference"].notna()]
        if others.empty:
            sentences.append(f"{start}; there is no other to compare it with.")
            continue
        second = others.iloc[int(others["rho"].abs().argmax())]
        next_best = f"the next is the {PREDICTORS[second['predictor']]}, ρ = {second['rho']:.2f}"
        sentences.append(f"{start}; {next_best}. {_difference_text(second)}.")
    return sentences


def _difference_text(row: pd.Series) -> str:
    """How much more |ρ| the better of the largest modulus and another predictor has, and whether that is noise."""
    sign = 1 if row["best"] else -1  # the larger − the smaller, whichever is the modulus
    difference, low, high = abs(row["difference"]), *sorted((sign * row["difference_low"], sign * row["difference_high"]))
    text = f"The difference in |ρ| is {difference:.2f}"
    if pd.isna(low):
        return f"{text}, without an interval: fewer than {FEWEST_SCHEMES} schemes"
    verdict = (
        "more than noise by this interval, though the best of several was picked after looking"
        if low > 0
        else "within noise: the interval reaches zero"
    )
    return f"{text} [{low:.2f}, {high:.2f}], {verdict}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
