"""The predictions of `benchmarks/atlas.md`, made before any network of a confirmation half was trained, and the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from robustbench_zs.analysis.conclusions import ESTABLISHED
from robustbench_zs.analysis.confirmation import Confirmation
from robustbench_zs.analysis.words import share, share_interval

HELD, FAILED = "held", "failed"
NOT_STATED = "open: the relation is not established"
NOT_SEPARATED = "open: the interval of the lead contains 0"


@dataclass(frozen=True)
class Prediction:
    """One cell of the table of predictions in `benchmarks/atlas.md`.

    Args:
        words: as written there.
        low, high: bounds of Spearman's ρ; a bound of 0 is a predicted sign.
        weaker_than: the candidate that is to have the larger |ρ|.
    """

    study: str
    predictor: str
    words: str
    low: float = -1
    high: float = 1
    weaker_than: str | None = None


PREDICTIONS = (
    Prediction("atlas-digits", "noise_gain", "ρ < 0, between −.9 and −.6", -0.9, -0.6),
    Prediction("atlas-digits", "largest_modulus", "weaker than noise gain, |ρ| < .5", -0.5, 0.5, "noise_gain"),
    Prediction("atlas-digits", "log_modulus", "|ρ| < .4", -0.4, 0.4),
    Prediction("atlas-cifar10", "noise_gain", "ρ > 0: the other sign", low=0),
    Prediction("atlas-cifar10", "largest_modulus", "ρ > 0, weaker than noise gain", low=0, weaker_than="noise_gain"),
    Prediction("atlas-cifar10", "log_modulus", "ρ < 0", high=0),
    Prediction("atlas-mnist", "noise_gain", "ρ < 0, as on digits", high=0),
    Prediction("atlas-mnist", "largest_modulus", "weaker than noise gain", weaker_than="noise_gain"),
    Prediction("atlas-mnist", "log_modulus", "|ρ| < .4", -0.4, 0.4),
)


def predictions_of(study: str) -> tuple[Prediction, ...]:
    """Those of a study, of its scaled-down forms too."""
    return tuple(p for p in PREDICTIONS if study in (p.study, f"{p.study}-small", f"{p.study}-smoke"))


def judge(predictions: Sequence[Prediction], found: Confirmation | None) -> pd.DataFrame:
    """One row per prediction: `predictor`, `predicted`, `found`, `verdict`.

    A range holds where ρ lies in it; a sign where the relation is established with it; "weaker" where the interval of the
    lead lies on that side. A prediction of several parts holds where all do and fails where one does.
    """
    rows = []
    for prediction in predictions if found else ():
        assert found
        (row,) = (r for _, r in found.relations.iterrows() if r["predictor"] == prediction.predictor)
        parts, words = (
            [_range(prediction, row)],
            f"ρ = {share(row['rho'])} {share_interval(row['rho_low'], row['rho_high'])}",
        )
        if prediction.weaker_than:
            verdict, text = _weaker(prediction, found.leads)
            parts.append(verdict)
            words += f"; {text}"
        verdict = FAILED if FAILED in parts else next((part for part in parts if part != HELD), HELD)
        rows.append({"predictor": prediction.predictor, "predicted": prediction.words, "found": words, "verdict": verdict})
    return pd.DataFrame(rows, columns=["predictor", "predicted", "found", "verdict"])


def _range(prediction: Prediction, row: pd.Series) -> str:
    if pd.isna(row["rho"]):
        return NOT_STATED
    if not prediction.low <= row["rho"] <= prediction.high:
        return FAILED
    is_sign = 0 in (prediction.low, prediction.high)
    return HELD if not is_sign or str(row["finding"]).startswith(ESTABLISHED) else NOT_STATED


def _weaker(prediction: Prediction, leads: pd.DataFrame) -> tuple[str, str]:
    """Of the other candidate's lead in |ρ|, which is to lie above 0."""
    pair = {prediction.predictor, prediction.weaker_than}
    (row,) = (row for _, row in leads.iterrows() if {row["predictor"], row["over"]} == pair)
    ahead = row["predictor"] == prediction.weaker_than
    lead, low, high = (
        (row["lead"], row["lead_low"], row["lead_high"]) if ahead else (-row["lead"], -row["lead_high"], -row["lead_low"])
    )
    text = f"behind by {share(lead)} {share_interval(low, high)} in |ρ|"
    return HELD if low > 0 else FAILED if high < 0 else NOT_SEPARATED, text
