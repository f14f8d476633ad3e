"""A study's report: an answer, sections, and its tables as CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from robustbench_zs.analysis.transfer import transfer_by_verdict
from robustbench_zs.reporting import accuracy_sections, answer, drawing, figures, glossary, sections
from robustbench_zs.reporting.atlas.report import atlas_page
from robustbench_zs.reporting.cells import csv_ready
from robustbench_zs.reporting.control_section import control_rows
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.html import write_page
from robustbench_zs.reporting.page import Page, Section
from robustbench_zs.system.files import write_atomically


def write_report(study: Findings, parts: Sequence[Callable[[Findings], Section | None]] = sections.SECTIONS) -> None:
    """Write the report of a study into its folder.

    Args:
        parts: the sections in their order, functions that return None where there is nothing to say; an atlas has its own.

    Raises:
        UnfinishedError: the folder cannot be written.
    """
    if study.facts.atlas:
        write_page(study.folder, *atlas_page(study))
        return
    page = Page(
        name=study.facts.name,
        title=study.facts.title or study.facts.name,
        verdict=answer.verdict_of(study),
        picture=answer.picture(study),
        numbers=answer.numbers(study),
        sections=[
            glossary.of_study(study.seeds > 1, study.search),
            *(section for part in parts if (section := part(study))),
        ],
    )
    write_page(study.folder, page, tidy_tables(study))


def tidy_tables(study: Findings) -> dict[str, pd.DataFrame]:
    """The numbers behind a report, as tables for programs."""
    found = study.conclusions
    optional = {"masking": study.masking, "transfer": csv_ready(study.transfers), "curves": csv_ready(study.curves)}
    if len(study.transfers):
        optional["transfer_by_verdict"] = transfer_by_verdict(study.transfers)
    if study.controls:
        optional["controls"] = control_rows(study)
    if study.facts.paper:
        optional["against_paper"] = accuracy_sections.paper_cells(study)
    return {
        "results": csv_ready(study.results),
        "gaps": csv_ready(study.gaps),
        "outcomes": csv_ready(study.outcomes),
        "degradation": study.losses,
        "correlations": found.modulus,
        "predictors": found.predictors,
        "best_predictors": found.best,
        "effects": found.effects,
        **{name: frame for name, frame in optional.items() if len(frame)},
    }


def write_examples(folder: Path, examples: pd.DataFrame, pixels: npt.NDArray[np.float32]) -> None:
    """Write the picture of example images, and `examples.csv`, which says what it shows; see `studies.make_examples`."""
    write_atomically(folder / "examples.png", drawing.png(figures.example_images(examples, pixels), dpi=200))
    write_atomically(folder / "examples.csv", examples.to_csv(index=False))
