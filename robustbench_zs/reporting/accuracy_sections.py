"""Sections of a study's report with accuracies, each a function of its findings."""

from __future__ import annotations

import pandas as pd

from robustbench_zs.analysis.against_paper import accuracy_cells, against_paper
from robustbench_zs.reporting import alternatives, drawing, figures, tables
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.network_sections import Blocks
from robustbench_zs.reporting.page import Section, Table
from robustbench_zs.reporting.plain import beside_paper


def accuracies(study: Findings) -> Section:
    """Accuracy of every network under every perturbation."""
    named = study.named(study.results)
    flag = f" {tables.FLAG}: a check for gradient masking was raised, so this accuracy is likely too high."
    flagged = bool(study.flagged and study.attacks)
    figure = figures.accuracy_against_level(named.assign(perturbation=study.results["perturbation"]))
    blocks: Blocks = [
        Table(
            "table6",
            tables.table_6(named, study.flagged),
            "Accuracy in percent, mean ± standard deviation over seeds; moduli in descending order."
            + (flag if flagged else ""),
            {short: label for label, short in study.perturbations.items()},
        )
    ]
    if figure:
        blocks.append(
            drawing.picture(
                "accuracy",
                figure,
                "Each line is a network, darker for a larger root modulus and dashed if its scheme is not zero-stable. A "
                "steeper fall means a less robust network.",
                alternatives.accuracy_text(named),
            )
        )
    return Section(
        "Accuracy under perturbations",
        "The table gives the accuracy of every network under every perturbation, in the layout of the paper's Table 6."
        + ("" if len(study.perturbations) > 1 else " No perturbation."),
        blocks,
    )


def paper(study: Findings) -> Section | None:
    """The study's numbers beside the paper's."""
    if not study.facts.paper:
        return None
    cells = paper_cells(study)
    _, section = beside_paper(cells, study.facts.paper, study.facts.scaled, PAPER_RUNS)
    return section


PAPER_RUNS = (
    ", mean ± standard deviation over three runs. Within the combined spread means that the two means differ by at most "
    "√(s² + s'²), where s and s' are the two standard deviations"
)


def paper_cells(study: Findings) -> pd.DataFrame:
    """Every number that the paper's table has or could have, see `against_paper`."""
    assert study.facts.paper is not None
    return against_paper(study.facts.paper, accuracy_cells(study.results, study.gaps), study.facts.paper_networks)
