"""Sections of a study's report with accuracies, each a function of its findings."""

from __future__ import annotations

import pandas as pd

from robustbench_zs.analysis.against_paper import ONE_SEED, accuracy_cells, against_paper
from robustbench_zs.analysis.summary import CLEAN
from robustbench_zs.analysis.words import share, signed
from robustbench_zs.reporting import alternatives, drawing, figures, tables
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.network_sections import Blocks
from robustbench_zs.reporting.page import Section, Table
from robustbench_zs.reporting.plain import beside_paper, bullets


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
            f"Accuracy in percent, {'mean ± standard deviation over seeds' if study.seeds > 1 else 'of one seed'}; moduli "
            "in descending order." + (flag if flagged else ""),
            {short: label for label, short in study.perturbations.items()},
        )
    ]
    if figure:
        blocks.append(
            drawing.picture(
                "accuracy",
                figure,
                f"{figures.lines_caption(len(study.networks))} A network that classifies more images correctly has "
                "more to lose, so steepness is no measure of robustness; the relations above are those of the share of "
                "correct images lost.",
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
    printed = cells.dropna(subset=["paper_mean"])
    printed = printed.assign(
        network=printed["network"].map(study.networks), outcome=printed["outcome"].replace(study.perturbations)
    )
    if printed.empty or set(printed["verdict"]) != {ONE_SEED} or printed["dataset"].nunique() > 1:
        return section
    table = Table(
        "against_paper",
        tables.differences_table(printed),
        "Accuracy here minus the paper's, in points, for the networks that the paper has. One seed was trained here, so "
        "nothing is known of the spread; `against_paper.csv` has all numbers.",
        {short: label for label, short in study.perturbations.items()},
    )
    named = study.facts.paper.replace("table", "Table ")
    lead = (
        f"These are differences from {named} of the paper (Chen, Jin, Shang, AAAI 2022), whose numbers are means over three "
        "runs."
    )
    return Section(section.title, lead, [*section.blocks[:-1], bullets(difference_sentences(printed)), table])


def difference_sentences(cells: pd.DataFrame) -> list[str]:
    """How far our numbers are from the paper's, and whether the networks stand in the same order.

    Args:
        cells: see `against_paper`, those that the paper prints.
    """
    furthest = cells.iloc[int(cells["difference"].abs().argmax())]
    sentences = [
        f"Of {len(cells)} numbers, {(cells['difference'] < 0).sum()} are lower here; the median difference is "
        f"{signed(cells['difference'].median())} points, the largest {signed(furthest['difference'])} "
        f"(`{furthest['network']}`, {furthest['outcome']})."
    ]
    clean = cells[cells["outcome"] == CLEAN]
    if len(clean) > 2:
        rho = clean["mean"].corr(clean["paper_mean"], method="spearman")
        sentences.append(f"The networks' order by clean accuracy, here and in the paper: ρ = {share(rho)}.")
    return sentences


PAPER_RUNS = (
    ", mean ± standard deviation over three runs. Within the combined spread means that the two means differ by at most "
    "√(s² + s'²), where s and s' are the two standard deviations"
)


def paper_cells(study: Findings) -> pd.DataFrame:
    """Every number that the paper's table has or could have, see `against_paper`."""
    assert study.facts.paper is not None
    return against_paper(study.facts.paper, accuracy_cells(study.results, study.gaps), study.facts.paper_networks)
