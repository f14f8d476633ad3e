"""One report of several studies that together make one table of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from robustbench_zs.analysis.against_paper import accuracy_cells, against_paper
from robustbench_zs.reporting.html import write_page
from robustbench_zs.reporting.page import Section, Table
from robustbench_zs.reporting.plain import beside_paper, plain_page, versions
from robustbench_zs.studies.study import Study

RUNS = (
    ", mean ± standard deviation; within the combined spread means that the means differ by no more than √(s² + s'²) for "
    "the two deviations"
)


def write_joint_report(study: Study, folder: Path, results: Sequence[pd.DataFrame], gaps: Sequence[pd.DataFrame]) -> None:
    """Write the report of a study of several parts into `folder`; the parts have reports of their own beside it.

    Args:
        results, gaps: of each part, see `evaluation.result_row` and `gap_row`.
    """
    sections: list[Section] = []
    verdict = f"{len(study.parts)} studies, {study.size} networks."
    csv = {"results": pd.concat(results, ignore_index=True), "gaps": pd.concat(gaps, ignore_index=True)}
    if study.paper:
        cells = [
            against_paper(study.paper, accuracy_cells(result, gap), part.paper_networks())
            for part, result, gap in zip(study.parts, results, gaps, strict=True)
        ]
        csv["against_paper"] = pd.concat(cells, ignore_index=True)
        verdict, section = beside_paper(csv["against_paper"], study.paper, study.scaled, RUNS)
        sections.append(section)
    parts = pd.DataFrame(
        {
            "Study": [f"[{part.name}](../{part.name}/report.md)" for part in study.parts],
            "Dataset": [part.trained_on().name for part in study.parts],
            "Networks": [len(part.specs()) for part in study.parts],
            "Seeds": [len(part.seeds) for part in study.parts],
            "Scaled down": [part.scaled or "no" for part in study.parts],
        }
    )
    sections.append(
        Section(
            "The studies it consists of",
            "Each study has a report of its own, with recipe and versions.",
            [Table("studies", parts)],
        )
    )
    write_page(folder, plain_page(study, verdict, sections, [versions()]), csv)
