"""The report of a study of the atlas: its first screen, and the tables behind it."""

from __future__ import annotations

import pandas as pd

from robustbench_zs.analysis.conclusions import ESTABLISHED
from robustbench_zs.analysis.confirmation import CANDIDATES
from robustbench_zs.analysis.predictors import PREDICTORS
from robustbench_zs.analysis.words import share, share_interval
from robustbench_zs.reporting.atlas import figures, tables
from robustbench_zs.reporting.atlas.sections import SECTIONS, picture, rhos
from robustbench_zs.reporting.atlas.study import AtlasStudy
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.page import Number, Page


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
            f"Each point is a scheme: {atlas.outcome} against the three candidates, by rank. Lines are smooths with 95% "
            "bootstrap bands. What is claimed comes from the blue half.",
            f"{atlas.outcome} against noise gain, largest modulus and its distance from 1 on a log scale. {rhos(atlas)}",
        ),
        numbers=_numbers(atlas),
        sections=[section for part in SECTIONS if (section := part(atlas))],
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
    moves = [
        f"{verb} with {_each(some, ' and ')}"
        for verb, some in (("falls", rows[stated & (rows["rho"] < 0)]), ("rises", rows[stated & (rows["rho"] > 0)]))
        if len(some)
    ]
    found = [f"the {atlas.outcome} {' and '.join(moves)}"] if moves else []
    if (~stated).any():
        found.append(f"no relation to {_each(rows[~stated], ' or ')} is established")
    verdicts = atlas.judged["verdict"].value_counts()
    said = (
        f" Of {len(atlas.judged)} predictions written down before, {verdicts.get('held', 0)} held and "
        f"{verdicts.get('failed', 0)} failed."
        if len(atlas.judged)
        else ""
    )
    return f"Over {rows['schemes'].max()} schemes set aside for the test, {'; '.join(found)}.\n\n{said.strip()}{scaled}"


def _each(rows: pd.DataFrame, last: str) -> str:
    """The candidates with their correlations; `last` stands before the last one."""
    words = [
        f"the {PREDICTORS[row['predictor']]} (ρ = {share(row['rho'])} {share_interval(row['rho_low'], row['rho_high'])})"
        for _, row in rows.iterrows()
    ]
    return last.join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _numbers(atlas: AtlasStudy) -> list[Number]:
    if atlas.confirmation is None:
        return []
    return [
        Number(
            f"ρ = {share(row['rho'])}",
            share_interval(row["rho_low"], row["rho_high"]),
            f"Rank correlation of the {PREDICTORS[row['predictor']]} with the {atlas.outcome} ({row['finding']})",
        )
        for _, row in atlas.confirmation.relations.iterrows()
    ]
