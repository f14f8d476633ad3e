"""One report on several studies: do candidates predict robustness alike on each dataset?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from robustbench_zs.analysis.across_studies import across_studies, agreement, change_of_robustness
from robustbench_zs.analysis.confirmation import STUDIES, confirm
from robustbench_zs.analysis.halves import AtlasHalf, headline, whole_study
from robustbench_zs.analysis.network_outcomes import SHARE_LOST, SMALLEST_EPS
from robustbench_zs.analysis.predictions import FAILED, HELD, judge, predictions_of
from robustbench_zs.analysis.predictors import PREDICTORS
from robustbench_zs.analysis.words import capital, p_text, share, share_interval
from robustbench_zs.reporting import glossary
from robustbench_zs.reporting.atlas import tables
from robustbench_zs.reporting.atlas.study import AtlasStudy
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.html import write_page
from robustbench_zs.reporting.page import Page, Section, Table
from robustbench_zs.reporting.plain import bullets, in_a_row, versions
from robustbench_zs.reporting.tables import GIVEN, SHARED


def write_joint_findings(folder: Path, studies: Sequence[Findings]) -> None:
    """Write the report of several studies into `folder`.

    Raises:
        UnfinishedError: the folder cannot be written.
    """
    atlases = {study.facts.name: AtlasStudy(study) for study in studies if study.facts.atlas}
    halves = {
        study.facts.name: atlases[study.facts.name].halves[-1] if study.facts.atlas else whole_study(study.outcomes)
        for study in studies
    }
    outcomes = {name: headline(half) for name, half in halves.items()}
    found = {name: confirm(half, outcomes[name]) for name, half in halves.items()}
    relations = across_studies(found)
    agreed = agreement(relations)
    beside = pd.concat(
        [
            tables.halves_frame([half], outcomes[name]).set_axis(COLUMNS, axis=1).assign(study=name)
            for name, half in halves.items()
        ]
    )
    judged = pd.concat([judge(predictions_of(name), found[name]).assign(study=name) for name in found], ignore_index=True)
    sections = [
        *([glossary.of_atlas(_search(studies))] if all(study.facts.atlas for study in studies) else []),
        _candidates(relations, len(found)),
        *([_predicted(judged)] if len(judged) else []),
        _every(beside, list(found)),
    ]
    page = Page(
        folder.name,
        f"Do the same candidates predict robustness in {len(found)} studies?",
        _verdict(relations, agreed, len(found)) + _bent(list(atlases.values())),
        [*sections, _studies(studies, halves)],
    )
    csv = {"relations": relations, "agreement": agreed, "halves": beside, **({"predictions": judged} if len(judged) else {})}
    write_page(folder, page, csv)


def _verdict(relations: pd.DataFrame, agreed: pd.DataFrame, studies: int) -> str:
    """Which candidates have one sign everywhere, and below that what each study says."""
    in_all = "in both studies" if studies == 2 else f"in all {studies} studies"
    everywhere = []
    for predictor, group in relations.groupby("predictor", sort=False):
        changes = {change_of_robustness(row) for _, row in group.iterrows()}
        if len(changes) == 1 and None not in changes:
            everywhere.append(f"{changes.pop()} with {PREDICTORS[str(predictor)]}")
    names = [PREDICTORS[p] for p in agreed["predictor"]]
    each = " ".join(f"{capital(n)}: {words}." for n, words in zip(names, agreed["signs"], strict=True))
    first = f"{in_all.capitalize()}, {', and '.join(everywhere)}" if everywhere else None
    nowhere = f"No candidate has an established relation to robustness with the same direction {in_all}"
    return f"{first or nowhere}.\n\n{each}"


COLUMNS = ["predictor", "rho", "low", "high", "partial_rho", "shared_rho"]


def _search(studies: Sequence[Findings]) -> str:
    """How the smallest ε was searched, see `Findings.search`; the studies may differ in how far."""
    searches = {study.search for study in studies}
    return searches.pop() if len(searches) == 1 else glossary.SEARCHED.format("", "the largest ε of its study")


def _bent(atlases: Sequence[AtlasStudy]) -> str:
    """Where robustness turns with a candidate, study by study."""
    places: dict[tuple[str, bool], list[str]] = {}
    for atlas in atlases:
        for predictor, bend in atlas.bends.items():
            best = bend.peak != atlas.outcome.startswith(SHARE_LOST)
            places.setdefault((predictor, best), []).append(f"{bend.value:.2f} in {atlas.study.facts.name}")
    turns = [
        f"{'highest' if best else 'lowest'} where the {PREDICTORS[predictor]} is about {in_a_row(where, ' and ')}, and "
        f"{'lower' if best else 'higher'} on both sides"
        for (predictor, best), where in places.items()
    ]
    if not turns:
        return ""
    return (
        "\n\nA relation may also bend, of which neither ρ nor the test says anything: in both halves, robustness is "
        f"{'; it is '.join(turns)}."
    )


def _candidates(relations: pd.DataFrame, studies: int) -> Section:
    shown = pd.DataFrame(
        {
            "Candidate": [PREDICTORS[p] for p in relations["predictor"]],
            "Study": relations["study"],
            "ρ": [share(v) for v in relations["rho"]],
            "95% interval": [share_interval(*n) for n in zip(relations["rho_low"], relations["rho_high"], strict=True)],
            GIVEN: [share(v) for v in relations["partial_rho"]],
            SHARED: [share(v) for v in relations["shared_rho"]],
            "Adjusted p": [p_text(v) for v in relations["adjusted_studies"]],
            "Schemes": relations["schemes"],
            "Finding": relations["finding"],
        }
    )
    order = relations["predictor"].map({p: i for i, p in enumerate(dict.fromkeys(relations["predictor"]))})
    return Section(
        "Does the sign agree?",
        "The table relates three candidates to the robustness of the networks in each study: the noise gain of a scheme, "
        "its largest root modulus, and how far that is from 1. Of an atlas, only the schemes set aside for the test count.",
        [
            Table(
                "relations",
                shown.loc[order.sort_values(kind="stable").index],
                heads={
                    GIVEN: "partial ρ given the clean accuracy",
                    SHARED: "ρ on the images that at least 95% of the networks classify correctly",
                    "Adjusted p": f"step-down max-T over the candidates of a study, then Holm over {studies} studies",
                },
            ),
            f"The adjusted p allows for the candidates and, by Holm's method, for the {studies} studies of this page. The "
            f"report of an atlas by itself multiplies by {STUDIES}, for all studies that were planned, so its p is larger."
            + (
                ""
                if (relations["outcome"] == SMALLEST_EPS).all()
                else " Where the mean smallest ε was not searched, the outcome is a share lost: less is more robust."
            ),
        ],
    )


def _predicted(judged: pd.DataFrame) -> Section:
    shown = tables.predictions_table(judged)
    shown.insert(0, "Study", judged["study"])
    signs = _other_sign(judged)
    return Section(
        "What was predicted, and what was found",
        "Predictions stand in `benchmarks/atlas.md`, written before any network of a confirmation half was trained.",
        [Table("predictions", shown), *([signs] if signs else [])],
    )


def _other_sign(judged: pd.DataFrame) -> str:
    """The second numbered prediction: that noise gain has another sign on CIFAR-10 than on digits."""
    gains = judged[judged["predictor"] == "noise_gain"].set_index("study")["verdict"]
    both = [gains.get(study) for study in ("atlas-digits", "atlas-cifar10")]
    if None in both:
        return ""
    became = {HELD: "held", FAILED: "failed"}.get(str(gains["atlas-cifar10"]), "could not be decided")
    return (
        "That the sign of the noise gain on CIFAR-10 is not that on digits was predicted too; "
        f"the sign predicted for CIFAR-10 {became}."
    )


def _every(beside: pd.DataFrame, studies: list[str]) -> Section:
    cells: dict[str, object] = {"Quantity": list(PREDICTORS.values())}
    for study in studies:
        rows = beside[beside["study"] == study]
        cells[study] = [
            f"{share(rho)} {share_interval(low, high)}"
            for rho, low, high in zip(rows["rho"], rows["low"], rows["high"], strict=True)
        ]
    return Section(
        "All quantities",
        f"The table has the same correlations for all {len(PREDICTORS)} quantities. No claim is made from them.",
        [Table("halves", pd.DataFrame(cells), "Spearman's ρ with its 95% interval.")],
    )


def _studies(studies: Sequence[Findings], halves: dict[str, AtlasHalf]) -> Section:
    lines = [
        f"[`{s.facts.name}`](../{s.facts.name}/report.md): {len(halves[s.facts.name].means)} schemes "
        f"({halves[s.facts.name].name}), `{s.facts.headers[0].dataset.name}`, outcome: {headline(halves[s.facts.name])}."
        for s in studies
    ]
    again = f"To repeat: `zsbench report {' '.join(s.facts.again for s in studies)}`."
    return Section(
        "The studies", "Each has a report of its own.", [bullets([*lines, again, f"Reported with {versions()}."])]
    )
