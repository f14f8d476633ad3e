"""`zsbench pack` and `zsbench unpack`: the results of a study as one file."""

from __future__ import annotations

from pathlib import Path

import click

from robustbench_zs.cli.command import Command, data_dir_option
from robustbench_zs.cli.run import scale_option


@click.command(cls=Command)
@click.argument("study")
@click.argument("file", type=click.Path(path_type=Path))
@scale_option
@data_dir_option
def pack(study: str, file: Path, scale: str | None, data_dir: Path | None) -> None:
    """Write the results of a study, image by image, to FILE: others can make its report again without the weights."""
    from robustbench_zs.studies import pack as pack_results

    rows = pack_results(study, file, scale=scale, data_dir=data_dir)
    click.echo(f"{rows} rows, {file.stat().st_size:,} bytes: {file}")


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
def unpack(file: Path) -> None:
    """Put the results in FILE, written by `zsbench pack`, into reports/results.sqlite, for `zsbench report`."""
    from robustbench_zs.studies import unpack as unpack_results

    click.echo(f"{unpack_results(file)} new rows")
