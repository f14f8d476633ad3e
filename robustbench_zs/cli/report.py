"""`zsbench report`: a study's report again."""

from __future__ import annotations

from pathlib import Path

import click

from robustbench_zs.cli.command import Command
from robustbench_zs.cli.run import data_dir_option, print_findings, scale_option


@click.command(cls=Command)
@click.argument("study")
@scale_option
@data_dir_option
def report(study: str, scale: str | None, data_dir: Path | None) -> None:
    """Write the report of a study again from the stored results, computing nothing.

    The weights need not be at hand; the images must be, since results are stored by their digest.
    """
    from robustbench_zs.studies import report as report_again

    print_findings(report_again(study, scale=scale, data_dir=data_dir).folder)
