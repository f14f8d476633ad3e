"""Tables of an atlas: for programs as frames, for people with intervals as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from robustbench_zs.analysis.confirmation import CANDIDATES, STUDIES, Confirmation, lead, relations
from robustbench_zs.analysis.correlation import spearman
from robustbench_zs.analysis.halves import AtlasHalf, scheme_of
from robustbench_zs.analysis.labels import outcome_labels
from robustbench_zs.analysis.network_outcomes import SHARE_LOST
from robustbench_zs.analysis.predictors import PREDICTORS
from robustbench_zs.analysis.rank_regression import cross_validated, fit_ranks
from robustbench_zs.analysis.reliability import ceiling
from robustbench_zs.analysis.words import p_text, share, share_interval
from robustbench_zs.reporting.cells import estimate
from robustbench_zs.reporting.tables import GIVEN, SHARED

SHOWN_MODELS, SHOWN_SCHEMES = 5, 8


def confirmation_table(found: Confirmation) -> pd.DataFrame:
    """The test of the candidates as people read it."""
    rows = found.relations
    return pd.DataFrame(
        {
            "Candidate": [PREDICTORS[p] for p in rows["predictor"]],
            "Finding": rows["finding"],
            "ρ": [share(v) for v in rows["rho"]],
            "95% interval": [share_interval(*n) for n in zip(rows["rho_low"], rows["rho_high"], strict=True)],
            GIVEN: [share(v) for v in rows["partial_rho"]],
            SHARED: [share(v) for v in rows["shared_rho"]],
            "p": [p_text(v) for v in rows["p"]],
            "Adjusted p": [p_text(v) for v in rows["adjusted"]],
            f"Adjusted p, {STUDIES} studies": [p_text(v) for v in rows["adjusted_studies"]],
            "Schemes": rows["schemes"],
        }
    )


def leads_table(found: Confirmation) -> pd.DataFrame:
    """Which candidate goes with the outcome more closely, pair by pair."""
    rows = found.leads
    return pd.DataFrame(
        {
            "Candidate": [PREDICTORS[p] for p in rows["predictor"]],
            "Over": [PREDICTORS[p] for p in rows["over"]],
            "Lead in |ρ|": [share(v) for v in rows["lead"]],
            "95% interval": [share_interval(*n) for n in zip(rows["lead_low"], rows["lead_high"], strict=True)],
            "Told apart": ["yes" if apart else "no" for apart in rows["lead_low"] * rows["lead_high"] > 0],
        }
    )


def predictions_table(judged: pd.DataFrame) -> pd.DataFrame:
    """Predictions beside findings, as people read them."""
    return pd.DataFrame(
        {
            "Candidate": [PREDICTORS[p] for p in judged["predictor"]],
            "Predicted": judged["predicted"],
            "Found": judged["found"],
            "Verdict": judged["verdict"],
        }
    )


def halves_frame(halves: Sequence[AtlasHalf], outcome: str) -> pd.DataFrame:
    """Every predictor with one outcome in each half.

    Returns:
        `predictor`, and for each HALF there is `rho_HALF`, `low_HALF`, `high_HALF`, `partial_rho_HALF`, `shared_rho_HALF`.
    """
    frame = pd.DataFrame({"predictor": list(PREDICTORS)})
    for half in halves:
        found = relations(
            half.means.predictors, half.value(outcome), half.shared(outcome), half.means.clean, tuple(PREDICTORS)
        )
        columns = {
            "rho": "rho",
            "low": "rho_low",
            "high": "rho_high",
            "partial_rho": "partial_rho",
            "shared_rho": "shared_rho",
        }
        frame = frame.assign(**{f"{name}_{half.name}": found[column] for name, column in columns.items()})
    return frame


def halves_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The same as people read it: the last half with its interval and checks, the strongest first; candidates in bold."""
    *others, last = (str(c).removeprefix("rho_") for c in frame if str(c).startswith("rho_"))
    order = frame.reindex(frame[f"rho_{last}"].abs().sort_values(ascending=False, kind="stable").index)
    return pd.DataFrame(
        {
            "Quantity": [f"**{PREDICTORS[p]}**" if p in CANDIDATES else PREDICTORS[p] for p in order["predictor"]],
            "ρ": [share(v) for v in order[f"rho_{last}"]],
            "95% interval": [share_interval(*n) for n in zip(order[f"low_{last}"], order[f"high_{last}"], strict=True)],
            **{f"ρ in {half}": [share(v) for v in order[f"rho_{half}"]] for half in others},
            GIVEN: [share(v) for v in order[f"partial_rho_{last}"]],
            SHARED: [share(v) for v in order[f"shared_rho_{last}"]],
        }
    )


def reliability_frame(halves: Sequence[AtlasHalf]) -> pd.DataFrame:
    """One row per half and outcome of a family with the fields of `Ceiling`."""
    rows = []
    for half in halves:
        for outcome in half.means.outcomes.index:
            chosen = half.outcomes[half.outcomes["outcome"] == outcome]
            found = ceiling(chosen["value"], chosen["network"].map(scheme_of))
            rows.append({"half": half.name, "outcome": outcome, **asdict(found)})
    return pd.DataFrame(rows)


def reliability_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The same as people read it."""
    return pd.DataFrame(
        {
            "Outcome": frame["outcome"].map(outcome_labels(dict.fromkeys(frame["outcome"]))),
            "Half": frame["half"],
            "Reliability": [share(v) for v in frame["reliability"]],
            "95% interval": [share_interval(*n) for n in zip(frame["low"], frame["high"], strict=True)],
            "Reliability of scheme means": [share(v) for v in frame["of_means"]],
            "Ceiling of |ρ|": [share(v) for v in frame["ceiling"]],
            "Schemes with two seeds": frame["schemes"],
        }
    )


def models_frame(halves: Sequence[AtlasHalf], outcome: str) -> pd.DataFrame:
    """The best rank models of one and two predictors, chosen and fitted on the first half.

    Returns:
        `predictors` (" and " between two), `cross_validated` (Spearman's ρ over schemes that the model had not seen, in the
        first half), and, with a second half, `rho` of the model's predictions there with their `lead`, `lead_low` and
        `lead_high` over those of the best single predictor.
    """
    first, *rest = halves
    x, y = first.means.predictors, first.value(outcome)
    if len(y) < 10:
        return pd.DataFrame(columns=["predictors", "cross_validated"])
    ranking = cross_validated(x, y, list(PREDICTORS))
    single, double = (ranking[ranking["predictors"].map(len) == size].head(SHOWN_MODELS) for size in (1, 2))
    rows = []
    best = _predicted(first, rest[0], outcome, single["predictors"].iloc[0]) if rest else None
    for _, row in pd.concat([single, double]).iterrows():
        made = {"predictors": " and ".join(row["predictors"]), "cross_validated": row["rho"]}
        if rest:
            predicted, there = _predicted(first, rest[0], outcome, row["predictors"]), rest[0].value(outcome)
            known = np.isfinite(there)
            made["rho"] = float(spearman(predicted[known, None], there[known, None])[0, 0])
            assert best is not None
            made |= lead(predicted[known], best[known], there[known], draws=1999)
        rows.append(made)
    return pd.DataFrame(rows)


def _predicted(
    first: AtlasHalf, second: AtlasHalf, outcome: str, names: tuple[str, ...]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    columns = [list(PREDICTORS).index(name) for name in names]
    known = np.isfinite(first.value(outcome))
    return fit_ranks(first.means.predictors[known][:, columns], first.value(outcome)[known]).rank(
        second.means.predictors[:, columns]
    )


def models_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The same as people read it."""
    words = [" and ".join(PREDICTORS[p] for p in names.split(" and ")) for names in frame["predictors"]]
    cells: dict[str, object] = {"Predictors": words, "Cross-validated ρ": [share(v) for v in frame["cross_validated"]]}
    if "rho" in frame:
        cells["ρ in the other half"] = [share(v) for v in frame["rho"]]
        cells["Lead over the best single quantity"] = [
            f"{share(v)} {share_interval(low, high)}"
            for v, low, high in zip(frame["lead"], frame["lead_low"], frame["lead_high"], strict=True)
        ]
    return pd.DataFrame(cells)


def schemes_frame(halves: Sequence[AtlasHalf]) -> pd.DataFrame:
    """One row per scheme: `scheme`, `half`, `seeds`, `zero_stable`, all predictors, means of the outcomes of a family."""
    parts = []
    for half in halves:
        names = list(half.means.names)
        networks = half.outcomes[["network", "seed"]].drop_duplicates()
        seeds = networks["network"].map(scheme_of).value_counts()
        facts = pd.DataFrame({"scheme": names, "half": half.name, "seeds": seeds.reindex(names).to_numpy()})
        facts["zero_stable"] = half.means.zero_stable.astype(bool)
        predictors = pd.DataFrame(half.means.predictors, columns=list(PREDICTORS))
        outcomes = pd.DataFrame(half.means.values, columns=list(half.means.outcomes.index))
        parts.append(pd.concat([facts, predictors, outcomes], axis=1))
    return pd.concat(parts, ignore_index=True).sort_values("scheme", ignore_index=True)


def extremes_table(points: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """The best and the worst schemes, with their intervals.

    Args:
        points: as for `figures.ranking`, with `network`, and `moduli` as text.
    """
    frame = points.dropna(subset=["value"])
    frame = frame.sort_values("value", ascending=outcome.startswith(SHARE_LOST), kind="stable", ignore_index=True)
    chosen = pd.concat([frame.head(SHOWN_SCHEMES), frame.iloc[SHOWN_SCHEMES:].tail(SHOWN_SCHEMES)])
    digits = 4 if "ε" in outcome else 1
    return pd.DataFrame(
        {
            "Rank": [f"{i + 1}" for i in chosen.index],
            "Scheme": chosen["network"].map(scheme_of),
            outcome: [
                estimate(value, None if np.isnan(half) else max(0.0, value - half), value + half, digits)
                for value, half in zip(chosen["value"], chosen["half_width"], strict=True)
            ],
            "Largest modulus": [f"{v:.2f}" for v in chosen["largest_modulus"]],
            "Noise gain": [f"{v:.3g}" for v in chosen["noise_gain"]],
            "Zero-stable": ["yes" if stable else "no" for stable in chosen["zero_stable"]],
        }
    )
