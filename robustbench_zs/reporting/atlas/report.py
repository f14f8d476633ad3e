"""The report of a study of the atlas: its first screen, and the tables behind it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from robustbench_zs.analysis.bends import Bend
from robustbench_zs.analysis.conclusions import CHECKS, ESTABLISHED, NO_DIRECTION
from robustbench_zs.analysis.confirmation import CANDIDATES
from robustbench_zs.analysis.network_outcomes import SHARE_LOST, SMALLEST_EPS
from robustbench_zs.analysis.predictions import FAILED, HELD
from robustbench_zs.analysis.predictors import PREDICTORS
from robustbench_zs.analysis.words import of_100, outcome_words, p_words, share, share_interval, strength
from robustbench_zs.reporting import glossary
from robustbench_zs.reporting.atlas import figures, tables
from robustbench_zs.reporting.atlas.sections import SECTIONS, rhos
from robustbench_zs.reporting.atlas.study import AtlasStudy
from robustbench_zs.reporting.drawing import picture
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.page import Number, Page
from robustbench_zs.reporting.plain import in_a_row


def atlas_page(study: Findings) -> tuple[Page, dict[str, pd.DataFrame]]:
    """The report of a study of the atlas, and the tables behind it."""
    atlas = AtlasStudy(study)
    page = Page(
        name=study.facts.name,
        title=study.facts.title or study.facts.name,
        verdict=_verdict(atlas),
        picture=picture(
            "answer",
            figures.against_predictors(atlas.halves, [atlas.outcome], CANDIDATES),
            f"Each point is a scheme, and higher is {'less' if atlas.outcome.startswith(SHARE_LOST) else 'more'} robust. "
            "From left to right, schemes are in the order of a quantity, whose values stand below the panel. The lines "
            "show the average with its 95% band; where they bend, the trend does not hold everywhere. Claims are made from "
            "the blue half alone; the grey one was there to search in.",
            f"{atlas.outcome} against noise gain, largest modulus and its distance from 1. {rhos(atlas)}",
        ),
        numbers=_numbers(atlas),
        sections=[glossary.of_atlas(study.search), *(section for part in SECTIONS if (section := part(atlas)))],
    )
    csv = {
        "results": _results(study),
        "schemes": atlas.schemes,
        "halves": pd.concat(
            [tables.halves_frame(atlas.halves, o).assign(outcome=o) for o in atlas.halves[-1].means.outcomes.index]
        ),
        "reliability": atlas.reliability,
        "models": atlas.models,
        "design": atlas.design.reset_index(names="predictor"),
    }
    if atlas.confirmation:
        csv |= {"confirmation": atlas.confirmation.relations, "leads": atlas.confirmation.leads, "predictions": atlas.judged}
    return page, csv


def _results(study: Findings) -> pd.DataFrame:
    """One row per network, one column per perturbation: hundreds of networks fit into a file that a repository can hold."""
    wide = study.results.pivot(index=["digest", "network", "seed"], columns="perturbation", values="accuracy")
    return wide[list(dict.fromkeys(study.results["perturbation"]))].reset_index().sort_values(["network", "seed"])


def _verdict(atlas: AtlasStudy) -> str:
    scaled = " The study was scaled down, so its numbers are not those of the full one." if atlas.study.facts.scaled else ""
    if atlas.confirmation is None:
        return f"Only the discovery half of the atlas is here, so nothing is claimed.{scaled}"
    rows = atlas.confirmation.relations
    stated = rows["finding"].str.startswith(ESTABLISHED)
    said = [
        *_undirected(rows),
        *_bent(atlas.outcome, atlas.bends, set(rows["predictor"][stated])),
        *_alike(atlas, rows["predictor"][stated]),
        *_how_sure(atlas, rows[stated]),
        _robustness(atlas.outcome),
    ]
    return f"{_found(atlas.outcome, rows, stated, atlas.bends)}\n\n{' '.join(said)}{scaled}"


def _found(outcome: str, rows: pd.DataFrame, stated: pd.Series, bends: Mapping[str, Bend]) -> str:
    """What may be stated of the candidates, in one or two sentences."""
    where = f"Across {rows['schemes'].max()} schemes set aside for this test,"
    toward = rows["rho"] * (-1 if outcome.startswith(SHARE_LOST) else 1)
    groups = {"less": rows[stated & (toward < 0)], "more": rows[stated & (toward > 0)]}
    moves = [
        f"{word} robust {in_a_row([f'{MORE[p]} ({strength(rho)} relation)' for p, rho in _candidates(some)], ' and ')}"
        for word, some in groups.items()
        if len(some)
    ]
    undirected = rows["finding"].str.startswith(NO_DIRECTION)
    rest = in_a_row([f"to {HOW_MUCH[p]}" for p, _ in _candidates(rows[~stated & ~undirected])], " or ")
    if not moves:
        return f"{where} no relation of robustness {rest or 'in one direction'} is established."
    on_the_whole = " on the whole" if set(rows["predictor"][stated]) & set(bends) else ""
    return f"{where} networks are{on_the_whole} {', and '.join(moves)}." + (
        f" No relation {rest} is established." if rest else ""
    )


def _bent(outcome: str, bends: Mapping[str, Bend], stated: Collection[str]) -> list[str]:
    """Where established relations bend, and where others do, on which the test says nothing."""
    established, others = ({p: bend for p, bend in bends.items() if (p in stated) == side} for side in (True, False))
    relations = "The relation bends" if len(established) == 1 else "These relations bend"
    said = [f"{relations}: {_turning(outcome, established)}."] if established else []
    if others:
        said.append(f"The test asks for a steady rise or fall and says nothing of bends: {_turning(outcome, others)}.")
    return said


def _turning(outcome: str, bends: Mapping[str, Bend]) -> str:
    said = []
    for extreme, sides in (("highest", "lower"), ("lowest", "higher")):
        places = [
            f"where the {PREDICTORS[predictor]} is about {bend.value:.2f}"
            for predictor, bend in bends.items()
            if bend.peak == (extreme == "highest")
        ]
        if places:
            said.append(f"{extreme} {in_a_row(places)} and {sides} on both sides")
    return f"the {outcome} is {'; it is '.join(said)}"


def _alike(atlas: AtlasStudy, stated: Iterable[str]) -> list[str]:
    """Quantities that order the schemes almost as an established candidate does."""
    said = []
    for predictor in stated:
        near = (atlas.design[predictor].abs() >= ALIKE).sum() - 1
        if near:
            others = f"{near} other quantities of a scheme go" if near > 1 else "Another quantity of a scheme goes"
            said.append(
                f"{others} with the {PREDICTORS[predictor]} so closely (|ρ| of {share(ALIKE, 1)} or more) that this study "
                "cannot tell which of them matters."
            )
    return said


ALIKE = 0.9
"""Rank correlation of two quantities from which on a study does not tell them apart."""


def _undirected(rows: pd.DataFrame) -> list[str]:
    """Of relations that are unlikely to be chance, but have no direction."""
    said = []
    for _, row in rows[rows["finding"].str.startswith(NO_DIRECTION)].iterrows():
        reason = row["finding"].removeprefix(f"{NO_DIRECTION}: ")
        value = next((row[column] for column, where in CHECKS.items() if reason.endswith(where)), None)
        said.append(
            f"Robustness does vary with {HOW_MUCH[row['predictor']]} (ρ = {share(row['rho'])}), but {reason} "
            f"(ρ = {share(value)}), so no direction is stated."
        )
    return said


def _how_sure(atlas: AtlasStudy, stated: pd.DataFrame) -> list[str]:
    """How likely the findings are by chance, and what became of the predictions."""
    said = []
    if len(stated):
        which = "The established relation" if len(stated) == 1 else f"Each of the {len(stated)} established relations"
        said.append(
            f"{which} would appear by chance in {of_100(stated['adjusted_studies'].max())} such studies if there were none."
        )
    verdicts = atlas.judged["verdict"]
    held, failed = int((verdicts == HELD).sum()), int((verdicts == FAILED).sum())
    if len(verdicts):
        rest = len(verdicts) - held - failed
        counts = (
            f"{held} held, {failed} failed and {rest} could not be decided" if rest else f"{held} held and {failed} failed"
        )
        said.append(f"Of {len(verdicts)} predictions written down before the test, {counts}.")
    said += [
        f"The one on the {PREDICTORS[row['predictor']]} failed: predicted was {row['predicted']}, found {row['found']}."
        for _, row in atlas.judged[verdicts == FAILED].iterrows()
    ]
    return said


def _robustness(outcome: str) -> str:
    """What stands for robustness, in plain words."""
    if outcome == SMALLEST_EPS:
        return (
            "Robustness is measured by the mean smallest ε: the smallest change, where pixels range from 0 to 1, that makes "
            "a network misclassify an image that it classifies correctly without."
        )
    return f"Robustness is measured by {outcome_words(outcome)}; a lower share is more robust."


MORE = {
    "noise_gain": "the more their scheme amplifies noise",
    "largest_modulus": "the larger its largest root modulus is",
    "log_modulus": "the further its largest root modulus is from 1",
}
HOW_MUCH = {
    "noise_gain": "how much the scheme amplifies noise",
    "largest_modulus": "the size of the largest root modulus",
    "log_modulus": "how far that modulus is from 1",
}


def _candidates(rows: pd.DataFrame) -> list[tuple[str, float]]:
    return list(zip(rows["predictor"], rows["rho"], strict=True))


def _numbers(atlas: AtlasStudy) -> list[Number]:
    if atlas.confirmation is None:
        return []
    return [
        Number(
            f"ρ = {share(row['rho'])}",
            share_interval(row["rho_low"], row["rho_high"]),
            f"Rank correlation of the {PREDICTORS[row['predictor']]} with the {atlas.outcome} "
            f"({p_words(pd.Series({**row, 'adjusted': row['adjusted_studies']}))}; p allows for all three studies)",
        )
        for _, row in atlas.confirmation.relations.iterrows()
    ]
