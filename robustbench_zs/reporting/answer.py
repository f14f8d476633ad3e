"""The first screen of a study's report: a verdict that says what was found and how sure it is, a picture, three numbers."""

from __future__ import annotations

import pandas as pd

from robustbench_zs.analysis.network_outcomes import CLEAN_ACCURACY, ROBUSTNESS, SMALLEST_EPS
from robustbench_zs.analysis.reliability import MIN_RELIABILITY
from robustbench_zs.analysis.scheme_means import scheme_points
from robustbench_zs.analysis.words import outcome_words, p_words, share, share_interval, shift_text, verdict
from robustbench_zs.reporting import alternatives, drawing, figures
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.page import Number, Picture


def verdict_of(study: Findings) -> str:
    """What the study found in plain words, and what speaks against it."""
    first, *said = verdict(study.shown, headline(study))
    if study.flagged and study.attacks:
        said.append(
            f"Gradients misled the attacks on {len(study.flagged)} of {len(study.networks)} networks, whose robustness is "
            "likely overstated."
        )
    if study.facts.scaled:
        said.append("The study was scaled down, so its numbers are not those of the full one.")
    return "\n\n".join([first, " ".join(said)]).strip()


def headline(study: Findings) -> int | None:
    """The place in `conclusions.modulus` of the outcome that stands for robustness; without any, of clean accuracy.

    It is the smallest ε where that was searched. Else it is the attack, or else the noise, under which schemes differ most
    reliably; with one seed, where nothing is known of that, the one whose mean share lost is nearest to one half, since
    little can differ where nearly all or nearly nothing is lost. What predicts it plays no part.
    """
    rows = study.conclusions.modulus
    if rows.empty:
        return None
    robust = rows[rows["family"] == ROBUSTNESS]
    reliable = robust["reliability"].fillna(1)
    attack = [outcome.partition(", ")[2] in study.attacks for outcome in robust["outcome"]]
    means = robust["outcome"].map(study.outcomes.groupby("outcome")["value"].mean()).astype(float)
    order = robust.assign(
        smallest=robust["kind"] == SMALLEST_EPS,
        reliable=reliable >= MIN_RELIABILITY,
        attack=attack,
        most=reliable,
        open=-(means - 50).abs().where(robust["reliability"].isna(), 0),
    ).sort_values(["smallest", "reliable", "attack", "most", "open"], kind="stable")
    return int(order.index[-1] if len(order) else rows.index[0])


def picture(study: Findings) -> Picture | None:
    """The headline outcome against the largest modulus, a point per scheme."""
    place = headline(study)
    if place is None:
        return None
    row, outcome = study.shown.modulus.iloc[place], study.conclusions.modulus["outcome"].iloc[place]
    points = scheme_points(study.outcomes, outcome)
    points = points.assign(network=points["network"].map(study.networks))
    better = "Higher is more robust." if row["kind"] != "share lost" else "Lower is more robust."
    bars = (
        "Bars are 95% intervals from the spread over seeds."
        if points["half_width"].notna().any()
        else "There is one seed per scheme, so points have no intervals."
    )
    return Picture(
        "answer.svg",
        drawing.svg(figures.outcome_against_predictor(points, row["outcome"], row["kind"])),
        f"Each point is a scheme: {outcome_words(row['outcome'])} against its largest root modulus. In schemes to the right "
        "of the dotted line at 1, small errors grow from block to block: they are not zero-stable. "
        f"{better if row['family'] == ROBUSTNESS else ''} {bars}",
        alternatives.answer_text(points, row["outcome"]),
    )


def numbers(study: Findings) -> list[Number]:
    """The correlations of the largest modulus with the headline outcome and clean accuracy, and the effect of stability."""
    place = headline(study)
    if place is None:
        return []
    rows, effects = study.shown.modulus, study.shown.effects
    chosen = [rows.iloc[place], *(r for _, r in rows[(rows["kind"] == CLEAN_ACCURACY) & (rows.index != place)].iterrows())]
    found = [
        Number(
            f"ρ = {share(row['rho'])}",
            share_interval(row["rho_low"], row["rho_high"]),
            f"Rank correlation of the largest modulus with {outcome_words(row['outcome'])} ({p_words(row)})",
        )
        for row in chosen
        if pd.notna(row["rho"])
    ]
    shifts = effects[(effects["outcome"] == chosen[0]["outcome"]) & effects["shift"].notna()]
    return found + [
        Number(
            *shift_text(row), f"Non-zero-stable minus zero-stable schemes: {outcome_words(row['outcome'])} ({p_words(row)})"
        )
        for _, row in shifts.iterrows()
    ]
