"""Conclusions in sentences, and numbers as statisticians write them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from robustbench_zs.analysis.conclusions import ALL, ESTABLISHED, NO_DIRECTION, NOTHING, Conclusions
from robustbench_zs.analysis.correlation import MIN_FOR_A_STATEMENT
from robustbench_zs.analysis.network_outcomes import (
    ON_CLEAN_IMAGES,
    ROBUSTNESS,
    SHARE_LOST,
    SMALLEST_EPS,
)
from robustbench_zs.analysis.permutation import LEVEL
from robustbench_zs.analysis.predictors import LARGEST_MODULUS, PREDICTORS


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
    """`".045"`, `".27"`, `"< .001"`; three digits below .1, and one more where they would be those of .05."""
    if value is None or pd.isna(value):
        return "–"
    if value < 0.001:
        return "< .001"
    digits = 3 if value < 0.0995 else 2
    return share(value, digits + 1 if round(value, digits) == LEVEL != value else digits)


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
    rest = found[~compared & (found["best"] != LARGEST_MODULUS)]
    if len(rest):
        most = rest.iloc[int(rest["rho"].abs().argmax())]
        sentences.append(
            f"In {len(rest)} of {known} outcomes, another quantity of the scheme has a larger |ρ| than the largest modulus "
            f"(up to {share(abs(most['rho']))}: the {PREDICTORS[most['best']]} with {most['outcome']}). With "
            f"{conclusions.schemes} schemes, whether it predicts better cannot be tested."
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


def strength(rho: float) -> str:
    """How closely two quantities go together, in the words that Cohen proposed for correlations."""
    return "a weak" if abs(rho) < 0.3 else "a moderate" if abs(rho) < 0.5 else "a strong"


def of_100(p: float) -> str:
    """A p-value as a frequency that people can picture."""
    if p < 0.001:
        return "fewer than 1 of 1,000"
    # .0349 is shown as .035, so it is 4 of 100 and not 3.
    return f"{1000 * p:.0f} of 1,000" if p < 0.01 else f"{round(100 * p, 1) + 0.05:.0f} of 100"


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
    half, most = conclusions.critical.get(family), found_in_four_of_five(conclusions)
    members = int((conclusions.modulus["family"] == family).sum())
    if most is None:
        return [f"{n} schemes and {members} outcomes can establish next to no relation."]
    return [
        f"With {n} schemes and {members} outcomes, this study finds a true ρ of ±{share(half)} in about half of all cases "
        f"and one of ±{share(most)} in four of five."
    ]


def found_in_four_of_five(conclusions: Conclusions) -> float | None:
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
