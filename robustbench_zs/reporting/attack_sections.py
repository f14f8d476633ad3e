"""Sections of a study's report about its attacks, each a function of its findings."""

from __future__ import annotations

from robustbench_zs.analysis.transfer import transfer_by_verdict, transfer_matrix
from robustbench_zs.reporting import alternatives, drawing, figures, tables
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.network_sections import Blocks
from robustbench_zs.reporting.page import Section, Table

MAX_MATRIX = 24
"""Networks in the table of transfers; beyond it, `transfer.csv` alone has all pairs."""


def masking(study: Findings) -> Section | None:
    """Whether attacks failed for the wrong reason."""
    if study.masking.empty:
        return None
    return Section(
        "Can the attacks be trusted?",
        "Six checks look for networks on which attacks fail for the wrong reason, such as vanishing gradients.",
        [
            Table("masking", tables.masking_table(study.named(study.masking))),
            "The checks use test images that the first seed of each network classifies correctly, at the largest ε of the "
            f"study. {f'{tables.FLAG} is a flag. ' if study.flagged else ''}"
            + ("– is a check that was not made. " if study.masking["flagged"].isna().any() else "")
            + "`zsbench masking --help` gives the thresholds and `masking.csv` all findings.",
        ],
    )


def curves(study: Findings) -> Section | None:
    """Robust accuracy against ε."""
    if study.curves.empty:
        return None
    named = study.named(study.curves)
    return Section(
        "Robustness curves",
        "A minimum-norm attack searched for the smallest ε that fools each image. The robust accuracy at ε is the share of "
        "images that need more.",
        [
            drawing.picture(
                "curves",
                figures.robustness_curves(named),
                f"{figures.lines_caption(len(study.networks))} A line that lies higher means a more robust network.",
                alternatives.curves_text(named),
            ),
            Table(
                "smallest_eps",
                tables.smallest_eps_table(named),
                "The values of ε that fool a quarter, half and three quarters of the images classified correctly when clean"
                + (", mean ± standard deviation over seeds." if study.seeds > 1 else "."),
            ),
            "Each ε found is an upper bound: an adversarial example that the attack missed may lie nearer.",
        ],
    )


def transfer(study: Findings) -> Section | None:
    """Which networks the examples of others fool."""
    if study.transfers.empty:
        return None
    matrix = tables.transfer_matrix_table(transfer_matrix(study.named(study.transfers)))
    blocks: Blocks = [
        Table(
            "transfer_by_verdict",
            tables.transfer_by_verdict_table(transfer_by_verdict(study.transfers)),
            "Means over pairs of networks, with 95% bootstrap intervals over schemes. The difference is non-zero-stable "
            "shown to zero-stable, minus the reverse.",
        )
    ]
    if len(matrix.columns) <= MAX_MATRIX:
        blocks.append(
            Table(
                "transfer_matrix",
                matrix,
                "One row per network that was attacked, one column per network that was shown the examples. A network's own "
                "examples are in bold.",
            )
        )
    return Section(
        "Do adversarial examples transfer?",
        "The first seed of each network was attacked, and its adversarial examples were shown to the others. The tables "
        "give the percentage fooled among the images that a network classifies correctly when clean.",
        blocks,
    )
