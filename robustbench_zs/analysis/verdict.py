"""The verdict of a report: whether the largest root modulus predicts anything, in plain sentences."""

from __future__ import annotations

import pandas as pd

from robustbench_zs.analysis.conclusions import ESTABLISHED, NO_DIRECTION, NOTHING, Conclusions
from robustbench_zs.analysis.correlation import MIN_FOR_A_STATEMENT
from robustbench_zs.analysis.leads import MIN_TO_SEPARATE
from robustbench_zs.analysis.network_outcomes import CLEAN_ACCURACY, GAP, ROBUSTNESS, SHARE_LOST
from robustbench_zs.analysis.predictors import LARGEST_MODULUS
from robustbench_zs.analysis.words import found_in_four_of_five, of_100, outcome_words, share

MAX_LISTED = 8
"""Outcomes without a finding that a verdict lists; beyond, their number says enough."""


def verdict(conclusions: Conclusions, headline: int | None = None) -> list[str]:
    """What was found of the largest root modulus and how sure it is, in sentences for people who have not read the paper.

    Args:
        headline: index in `conclusions.modulus` of the outcome that is named where several are equally clear.
    """
    n, rows = conclusions.schemes, conclusions.modulus
    if n < MIN_FOR_A_STATEMENT:
        return [
            "Nothing can be concluded about schemes from this study.",
            f"It compares {n} with known roots, and a conclusion takes at least {MIN_FOR_A_STATEMENT}.",
        ]
    kinds = {
        "robustness": rows[rows["family"] == ROBUSTNESS],
        "clean accuracy": rows[rows["kind"] == CLEAN_ACCURACY],
        # Only where there is something to say: a network that has learned little has a small gap as well.
        GAP: rows[(rows["kind"] == GAP) & rows["finding"].str.startswith(ESTABLISHED)],
    }
    asked = {what: of for what, of in kinds.items() if len(of)}
    alike = [what for what, of in asked.items() if (of["finding"] == NOTHING).all()]
    nothing = (
        f"In {' and '.join(alike)}, the {n} schemes differ no more than two trainings of the same scheme do, so "
        "there is nothing to predict."
    )
    said = [sentence for what, of in asked.items() if what not in alike for sentence in _verdict_on(of, what, n, headline)]
    said += [nothing] if alike else []
    said += _rivals(conclusions)
    most = found_in_four_of_five(conclusions)
    if len(alike) < len(asked) and most is not None and not rows["finding"].str.startswith(ESTABLISHED).any():
        said.append(f"With {n} schemes, relations weaker than |ρ| = {share(most)} may well be missed.")
    return said


def _rivals(conclusions: Conclusions) -> list[str]:
    """That another quantity may be what matters, where the largest modulus has an established relation."""
    best, modulus = conclusions.best, conclusions.modulus
    stated = modulus.loc[modulus["finding"].str.startswith(ESTABLISHED), "outcome"]
    rows = best[best["outcome"].isin(stated) & (best["best"] != LARGEST_MODULUS) & ~(best["lead_low"] > 0)]
    if rows.empty:
        return []
    return [
        "Other quantities of a scheme go with these outcomes at least as closely, and so few schemes cannot tell which of "
        "them matters."
        if conclusions.schemes < MIN_TO_SEPARATE
        else "Other quantities of a scheme go with some of these outcomes as closely."
    ]


def _verdict_on(rows: pd.DataFrame, what: str, schemes: int, headline: int | None) -> list[str]:
    """Whether the largest root modulus predicts any of the outcomes, and how sure that is."""
    established = rows[rows["finding"].str.startswith(ESTABLISHED)]
    known = rows[rows["rho"].notna() & (rows["finding"] != NOTHING)]
    if known.empty:
        return [f"Whether the largest root modulus predicts {what} cannot be computed from these {schemes} schemes."]
    shown = established if len(established) else known
    closest = shown.assign(other=shown.index != headline).sort_values(["adjusted", "other"], kind="stable").iloc[0]
    where = f"{outcome_words(closest['outcome'])}, ρ = {share(closest['rho'])}"
    chance = f"would appear by chance in {of_100(closest['adjusted'])} such studies if there were none"
    if str(closest["finding"]).startswith(NO_DIRECTION):
        reason = closest["finding"].partition(": ")[2]
        chance = f"is unlikely to be chance, but no direction can be stated ({reason})"
    if established.empty:
        observed = f"The closest ({where})" if len(rows) > 1 else f"The one observed (ρ = {share(closest['rho'])})"
        return [
            f"Across {schemes} schemes, no relation between the largest root modulus and {what} was established.",
            f"{observed} {chance}.",
        ]
    signs = {_more(row) for _, row in established.iterrows()}
    how = f"{'a ' if what == GAP else ''}{' '.join(signs)} {what}"
    direction = f"have {how}" if len(signs) == 1 else f"differ in {what}, in more than one direction"
    number = f" in {len(established)} of {len(rows)} outcomes" if len(rows) > 1 else ""
    said = [
        f"Across {schemes} schemes, those with a larger root modulus {direction}{number}.",
        f"The clearest relation ({where}) {chance}." if len(rows) > 1 else f"This (ρ = {share(closest['rho'])}) {chance}.",
    ]
    others = [str(outcome).partition(", ")[2] or str(outcome) for outcome in rows["outcome"].drop(established.index)]
    if 0 < len(others) <= MAX_LISTED:
        said.insert(1, f"For the other{'s' if len(others) > 1 else ''}, no relation is established: {', '.join(others)}.")
    return said


def _more(row: pd.Series) -> str:
    rising = row["rho"] > 0
    if row["kind"] == GAP:
        return "larger" if rising else "smaller"
    return "higher" if rising == (row["kind"] != SHARE_LOST) else "lower"
