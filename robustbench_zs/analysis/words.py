"""Conclusions in sentences, and numbers as statisticians write them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from robustbench_zs.analysis.conclusions import ALL, ESTABLISHED, NOTHING, Conclusions
from robustbench_zs.analysis.correlation import FEWEST_FOR_A_STATEMENT
from robustbench_zs.analysis.network_outcomes import ON_CLEAN_IMAGES, ROBUSTNESS, SMALLEST_EPS
from robustbench_zs.analysis.permutation import LEVEL
from robustbench_zs.analysis.predictors import PREDICTORS


def share(value: float | None, digits: int = 2) -> str:
    """A number from −1 to 1 without the zero before the point: `"−.66"`, `"1.00"`; `"–"` where there is none."""
    if value is None or pd.isna(value):
        return "–"
    text = f"{abs(value):.{digits}f}"
    sign = "−" if value < 0 and float(text) else ""
    return sign + (text[1:] if text.startswith("0") else text)


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
    """The headline in full, then what else is established, then what is not, by number."""
    rows = conclusions.modulus[conclusions.modulus["family"] == ROBUSTNESS]
    full = rows["finding"].str.startswith(ESTABLISHED) | (rows["kind"] == SMALLEST_EPS)
    sentences = [
        f"Largest root modulus and {_code(row['outcome'])}: {relation_text(row)}." for _, row in rows[full].iterrows()
    ]
    rest = rows[~full]
    what = f"{len(rest)} {'other ' if full.any() else ''}outcomes of robustness"
    nothing = rest["finding"] == NOTHING
    if nothing.all():
        return (
            [*sentences, f"In all {what} there is nothing to predict: the schemes do not differ in them."]
            if len(rest)
            else sentences
        )
    words = f"Of {what} none has an established relation to the largest root modulus"
    if nothing.any():
        words += f"; in {nothing.sum()} there is nothing to predict"
    known = rest[~nothing & rest["rho"].notna()]
    if len(known):
        closest = known.iloc[int(known["p"].argmin())]
        words += f"; closest is {_code(closest['outcome'])}, {relation_text(closest)}"
    sentences.append(f"{words}.")
    return sentences


def _effects(conclusions: Conclusions) -> list[str]:
    """Where zero-stable and other schemes differ; one sentence where they do nowhere."""
    effects = conclusions.effects
    if effects.empty or effects["shift"].isna().all():
        return []
    found = effects[effects["finding"].str.startswith(ESTABLISHED)]
    if found.empty:
        return [f"Zero-stable and other schemes: a difference is established in none of {len(effects)} outcomes."]
    return [
        f"Non-zero-stable against zero-stable schemes, {_code(r['outcome'])}: {effect_text(r)}." for _, r in found.iterrows()
    ]


def effect_text(row: pd.Series) -> str:
    """The shift in the unit of the outcome, with its interval."""
    digits = 4 if row["kind"] == SMALLEST_EPS else 1
    unit = "" if row["kind"] == SMALLEST_EPS else " points"
    shift, low, high = (f"{row[c]:+.{digits}f}".replace("-", "−") for c in ("shift", "shift_low", "shift_high"))
    bounds = "" if pd.isna(row["shift_low"]) else f" [{low}, {high}]"
    return f"{shift}{unit}{bounds}, adjusted p {_equals(row['adjusted'])}"


def _best(conclusions: Conclusions) -> list[str]:
    best = conclusions.best
    found = best[best["finding"].str.startswith(ESTABLISHED)] if len(best) else best
    known = best["rho"].notna().sum() if len(best) else 0
    if not known:
        return []
    if found.empty:
        return [
            f"Of {len(PREDICTORS)} quantities of the scheme none has an established relation to any of {known} outcomes, "
            "the best being picked after looking."
        ]
    return [f"{_capital(_code(row['outcome']))}: {best_text(row)}." for _, row in found.iterrows()]


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


def power_sentences(conclusions: Conclusions) -> list[str]:
    """What so many schemes could have found; nothing where there are no relations to find."""
    n = conclusions.schemes
    if n < 2 or conclusions.modulus.empty:
        return []
    if n < FEWEST_FOR_A_STATEMENT:
        return [f"{n} schemes can establish nothing: that takes at least {FEWEST_FOR_A_STATEMENT}."]
    family = ROBUSTNESS if conclusions.critical.get(ROBUSTNESS) else ON_CLEAN_IMAGES
    half = conclusions.critical.get(family)
    members = int((conclusions.modulus["family"] == family).sum())
    if half is None or half >= 1:
        return [f"{n} schemes and {members} outcomes can establish next to no relation."]
    most = float(np.tanh(np.arctanh(half) + norm.ppf(0.8) * ((1 + half**2 / 2) / (n - 3)) ** 0.5))
    return [
        f"What {n} schemes could have found, adjusted for {members} outcomes: a true ρ of ±{share(half)} in about half of "
        f"cases, one of ±{share(most)} in four of five."
    ]


def together_sentence(conclusions: Conclusions) -> str:
    """Whether anything may be stated at all."""
    p = conclusions.together
    verdict = "so none is stated" if p[ALL] > LEVEL else "so that relations may be stated"
    parts = ", ".join(f"those of {family} p {_equals(p[family])}" for family in (ON_CLEAN_IMAGES, ROBUSTNESS))
    return f"All relations of this report taken together have p {_equals(p[ALL])}, {verdict} ({parts})"


def _equals(p: float) -> str:
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"


def _code(outcome: str) -> str:
    """The label of a perturbation as code."""
    kind, comma, label = outcome.partition(", ")
    return f"{kind}, `{label}`" if comma else outcome


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
