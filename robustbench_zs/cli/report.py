"""`zsbench report`: a study's report again."""

from __future__ import annotations

from pathlib import Path

import click

from robustbench_zs.cli.command import Command, data_dir_option
from robustbench_zs.cli.run import print_findings, scale_option


@click.command(cls=Command)
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@scale_option
@data_dir_option
def report(studies: tuple[str, ...], scale: str | None, data_dir: Path | None) -> None:
    """Write the report of a study again from the stored results, computing nothing.

    For several studies, one report says in which of them each candidate predicts robustness, and with which sign. The
    weights are not needed; the images are, since results are stored by the digest of the images.
    """
    from robustbench_zs.studies.run import report as report_again
    from robustbench_zs.studies.several import report_together

    if len(studies) > 1:
        print_findings(report_together(studies, scale=scale, data_dir=data_dir))
    else:
        print_findings(report_again(studies[0], scale=scale, data_dir=data_dir).folder)
