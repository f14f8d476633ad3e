"""Conclusions in sentences, and numbers as statisticians write them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from robustbench_zs.analysis.conclusions import ALL, ESTABLISHED, NO_DIRECTION, NOTHING, Conclusions
from robustbench_zs.analysis.correlation import MIN_FOR_A_STATEMENT
from robustbench_zs.analysis.leads import MIN_TO_SEPARATE
from robustbench_zs.analysis.network_outcomes import (
    CLEAN_ACCURACY,
    ON_CLEAN_IMAGES,
    ROBUSTNESS,
    SHARE_LOST,
    SMALLEST_EPS,
)
from robustbench_zs.analysis.permutation import LEVEL
from robustbench_zs.analysis.predictors import LARGEST_MODULUS, PREDICTORS

MAX_LISTED = 8
"""Outcomes without a finding that a verdict lists; beyond, their number says enough."""


def share(value: float | None, digits: int = 2) -> str:
    """A number from −1 to 1 without the zero before the point: `"−.66"`, `"1.00"`; `"–"` where there is none."""
    if value is None or pd.isna(value):
        return "–"
    text = f"{abs(value):.{digits}f}"
    sign = "−" if value < 0 and float(text) else ""
    return sign + (text[1:] if text.startswith("0") else text)


def signed(value: float, digits: int = 1) -> str:
    """`"+1.2"`, `"−3.4"`."""
    return f"{value:+.{digits}f}".replace("-", "−")


def p_text(value: float | None) -> str:
    """`".045"`, `".27"`, `"< .001"`; three digits below .1, so that none near .05 is rounded away."""
    if value is None or pd.isna(value):
        return "–"
    return "< .001" if value < 0.001 else share(value, 3 if value < 0.0995 else 2)


def share_interval(low: float | None, high: float | None) -> str:
    """`"[−.92, .03]"`, `"–"` where it cannot be computed."""
    return "–" if low is None or high is None or pd.isna(low) or pd.isna(high) else f"[{share(low)}, {share(high)}]"


def relation_text(row: pd.Series, members: str = "outcomes") -> str:
    """`"ρ = −.66 [−.92, .03], 10 schemes, p = .045, adjusted for 12 outcomes .27: not established"`."""
    if row["finding"] == NOTHING and pd.notna(row["reliability"]):
        return f"{NOTHING} (reliability {share(row['reliability'])})"
    if pd.isna(row["rho"]) or row["finding"] == NOTHING:
        return str(row["finding"])
    bounds = share_interval(row["rho_low"], row["rho_high"])
    p = p_text(row["p"])
    return (
        f"ρ = {share(row['rho'])}{'' if bounds == '–' else f' {bounds}'}, {row['schemes']} schemes, "
        f"p {p if p.startswith('<') else f'= {p}'}, adjusted for {row['adjusted_of']} {members} {p_text(row['adjusted'])}: "
        f"{row['finding']}"
    )


def summary_sentences(conclusions: Conclusions) -> list[str]:
    """What the study allows to say, and what so many schemes could have found."""
    sentences = [
        f"Largest root modulus and {row['outcome']}: {relation_text(row)}."
        for _, row in conclusions.modulus[conclusions.modulus["family"] == ON_CLEAN_IMAGES].iterrows()
    ]
    sentences += _robustness(conclusions)
    sentences += _effects(conclusions)
    sentences += _best(conclusions)
    return [*sentences, *power_sentences(conclusions)]


def _robustness(conclusions: Conclusions) -> list[str]:
    """The headline and the clearest relation in full, then what else is established, then what is not, by number."""
    rows = conclusions.modulus[conclusions.modulus["family"] == ROBUSTNESS]
    established = rows["finding"].str.startswith(ESTABLISHED)
    full = established | (rows["kind"] == SMALLEST_EPS)
    clearest = rows[established].sort_values("adjusted", kind="stable").index[:1]
    told = rows.index.isin(clearest) | (rows["kind"] == SMALLEST_EPS)
    sentences = [f"Largest root modulus and {row['outcome']}: {relation_text(row)}." for _, row in rows[told].iterrows()]
    others = rows[established & ~told]
    if len(others):
        sentences.append(
            f"Its relation to {len(others)} more outcomes of robustness is established as well: {_with_rho(others)}."
        )
    rest = rows[~full]
    what = f"{len(rest)} {'other ' if full.any() else ''}outcomes of robustness"
    nothing = rest["finding"] == NOTHING
    if nothing.all():
        return (
            [*sentences, f"There is nothing to predict in any of {what}: the schemes do not differ in them."]
            if len(rest)
            else sentences
        )
    words = f"None of {what} has an established relation to the largest root modulus"
    if nothing.any():
        words += f"; there is nothing to predict in {nothing.sum()} of them"
    known = rest[~nothing & rest["rho"].notna()]
    if len(known):
        closest = known.iloc[int(known["p"].argmin())]
        words += f"; the closest is {closest['outcome']}, {relation_text(closest)}"
    sentences.append(f"{words}.")
    return sentences


def _effects(conclusions: Conclusions) -> list[str]:
    """Where zero-stable and other schemes differ; one sentence where they do nowhere."""
    effects = conclusions.effects
    if effects.empty or effects["shift"].isna().all():
        return []
    found = effects[effects["finding"].str.startswith(ESTABLISHED)]
    if found.empty:
        return [f"No difference between zero-stable and other schemes is established in any of {len(effects)} outcomes."]
    listed = "; ".join(f"{row['outcome']} {' '.join(filter(None, shift_text(row)))}" for _, row in found.iterrows())
    return [
        f"Non-zero-stable and zero-stable schemes are established to differ in {len(found)} of {len(effects)} outcomes, the "
        f"former minus the latter: {listed}."
    ]


def shift_text(row: pd.Series) -> tuple[str, str]:
    """The shift in the unit of the outcome, and its interval, empty where there is none."""
    digits = 4 if row["kind"] == SMALLEST_EPS else 1
    unit = "" if row["kind"] == SMALLEST_EPS else " points"
    shift, low, high = (signed(row[c], digits) for c in ("shift", "shift_low", "shift_high"))
    return f"{shift}{unit}", "" if pd.isna(row["shift_low"]) else f"[{low}, {high}]"


def _with_rho(rows: pd.DataFrame) -> str:
    return "; ".join(f"{row['outcome']} (ρ = {share(row['rho'])})" for _, row in rows.iterrows())


def _best(conclusions: Conclusions) -> list[str]:
    best = conclusions.best
    found = best[best["finding"].str.startswith(ESTABLISHED)] if len(best) else best
    known = best["rho"].notna().sum() if len(best) else 0
    if not known:
        return []
    if found.empty:
        return [
            f"None of {len(PREDICTORS)} quantities of the scheme has an established relation to any of {known} outcomes. "
            "The test allows for the best one being picked after looking."
        ]
    compared = found["lead_low"].notna()
    sentences = [f"{capital(row['outcome'])}: {best_text(row)}." for _, row in found[compared].iterrows()]
    for quantity, group in found[~compared].groupby("best", sort=False):
        sentences.append(f"The {PREDICTORS[str(quantity)]} goes most closely with {_with_rho(group)}.")
    if not compared.all():
        sentences.append(
            f"With {conclusions.schemes} schemes, the quantities of the last sentences cannot be separated from others that "
            "go with the same outcomes, such as the largest modulus."
        )
    return sentences


def best_text(row: pd.Series) -> str:
    """Which predictor goes with an outcome most closely, whether that is established, and against which other."""
    if pd.isna(row["rho"]):
        return str(row["finding"])
    text = f"the {PREDICTORS[row['best']]} goes with it most closely, {relation_text(row, 'pairs')}"
    return text if pd.isna(row["other"]) or not row["finding"].startswith(ESTABLISHED) else f"{text}; {lead_text(row)}"


def lead_text(row: pd.Series) -> str:
    """The lead of the best predictor over another, or that the two cannot be told apart."""
    if pd.isna(row["other"]):
        return "there is no other to compare it with"
    other = f"the {PREDICTORS[row['other']]}, ρ = {share(row['other_rho'])},"
    if pd.isna(row["lead_low"]):
        return f"it and {other} correlate {share(row['between'])} here and cannot be separated"
    bounds = f"{share(row['lead'])} {share_interval(row['lead_low'], row['lead_high'])}"
    if row["lead_low"] > 0:
        return f"it leads {other} by {bounds} in |ρ|"
    return f"its lead over {other} is {bounds} in |ρ|, which may be none"


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
    kinds = {"robustness": rows[rows["family"] == ROBUSTNESS], "clean accuracy": rows[rows["kind"] == CLEAN_ACCURACY]}
    asked = {what: of for what, of in kinds.items() if len(of)}
    alike = [what for what, of in asked.items() if (of["finding"] == NOTHING).all()]
    nothing = (
        f"In {' and '.join(alike)}, the {n} schemes differ no more than two trainings of the same scheme do, so "
        "there is nothing to predict."
    )
    said = [sentence for what, of in asked.items() if what not in alike for sentence in _verdict_on(of, what, n, headline)]
    said += [nothing] if alike else []
    said += _rivals(conclusions)
    most = _found_in_four_of_five(conclusions)
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
        return [
            f"Across {schemes} schemes, no relation between the largest root modulus and {what} was established.",
            f"The closest ({where}) {chance}.",
        ]
    signs = {_more(row) for _, row in established.iterrows()}
    direction = f"have {signs.pop()} {what}" if len(signs) == 1 else f"differ in {what}, in more than one direction"
    number = f" in {len(established)} of {len(rows)} outcomes" if len(rows) > 1 else ""
    said = [
        f"Across {schemes} schemes, those with a larger root modulus {direction}{number}.",
        f"The clearest relation ({where}) {chance}." if len(rows) > 1 else f"This (ρ = {share(closest['rho'])}) {chance}.",
    ]
    others = [str(outcome).partition(", ")[2] or str(outcome) for outcome in rows["outcome"].drop(established.index)]
    if 0 < len(others) <= MAX_LISTED:
        said.insert(1, f"Nothing is established for the other{'s' if len(others) > 1 else ''}: {', '.join(others)}.")
    return said


def _more(row: pd.Series) -> str:
    rising = row["rho"] > 0
    return "higher" if rising == (row["kind"] != SHARE_LOST) else "lower"


def strength(rho: float) -> str:
    """How closely two quantities go together, in the words that Cohen proposed for correlations."""
    return "a weak" if abs(rho) < 0.3 else "a moderate" if abs(rho) < 0.5 else "a strong"


def of_100(p: float) -> str:
    """A p-value as a frequency that people can picture."""
    return "fewer than 1 of 1,000" if p < 0.001 else f"{1000 * p:.0f} of 1,000" if p < 0.01 else f"{100 * p:.0f} of 100"


def outcome_words(outcome: str) -> str:
    """`"share lost, PGD 0.1"` → `"the share of correct images lost under PGD 0.1"`."""
    kind, comma, label = outcome.partition(", ")
    words = {
        SMALLEST_EPS: "the mean smallest ε that fools an image",
        SHARE_LOST: "the share of correct images lost",
    }.get(kind, f"the {kind}")
    return f"{words} under {label}" if comma else words


def p_words(row: pd.Series) -> str:
    """The p-value of a relation, adjusted for its family, and what that says."""
    if row["finding"] == NOTHING:
        return "nothing to predict"
    said = str(row["finding"])
    finding = "established" if said.startswith(ESTABLISHED) else said if said.startswith(NO_DIRECTION) else "not established"
    return finding if pd.isna(row["adjusted"]) else f"adjusted p {_equals(row['adjusted'])}, {finding}"


def power_sentences(conclusions: Conclusions) -> list[str]:
    """What so many schemes could have found; nothing where there are no relations to find."""
    n = conclusions.schemes
    if n < 2 or conclusions.modulus.empty:
        return []
    if n < MIN_FOR_A_STATEMENT:
        return [f"{n} schemes cannot establish anything: that takes at least {MIN_FOR_A_STATEMENT}."]
    family = ROBUSTNESS if conclusions.critical.get(ROBUSTNESS) else ON_CLEAN_IMAGES
    half, most = conclusions.critical.get(family), _found_in_four_of_five(conclusions)
    members = int((conclusions.modulus["family"] == family).sum())
    if most is None:
        return [f"{n} schemes and {members} outcomes can establish next to no relation."]
    return [
        f"With {n} schemes and {members} outcomes, this study finds a true ρ of ±{share(half)} in about half of all cases "
        f"and one of ±{share(most)} in four of five."
    ]


def _found_in_four_of_five(conclusions: Conclusions) -> float | None:
    """The |ρ| of the largest modulus with one outcome that is found with 80% power; None where none is."""
    half = conclusions.critical.get(ROBUSTNESS) or conclusions.critical.get(ON_CLEAN_IMAGES)
    if half is None or half >= 1:
        return None
    return float(np.tanh(np.arctanh(half) + norm.ppf(0.8) * ((1 + half**2 / 2) / (conclusions.schemes - 3)) ** 0.5))


def together_sentence(conclusions: Conclusions) -> str:
    """Whether anything may be stated at all."""
    p = conclusions.together
    verdict = "so none is stated" if p[ALL] > LEVEL else "so that relations may be stated"
    parts = ", ".join(f"{family}: p {_equals(p[family])}" for family in (ON_CLEAN_IMAGES, ROBUSTNESS))
    return f"All relations of this report taken together have p {_equals(p[ALL])}, {verdict} ({parts})"


def _equals(p: float) -> str:
    """`"= .045"`, `"< .001"`."""
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"


def capital(text: str) -> str:
    """The text with a capital at its beginning, and the rest as it is."""
    return text[0].upper() + text[1:]
