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
    """Pack the results of a study into FILE.

    The results are stored image by image, so others can make the report again without the weights: see `zsbench unpack`.
    """
    from robustbench_zs.studies.archive import pack as pack_results

    rows = pack_results(study, file, scale=scale, data_dir=data_dir)
    click.echo(f"{rows} rows, {file.stat().st_size:,} bytes: {file}")


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
def unpack(file: Path) -> None:
    """Add packed results to the results store.

    FILE was written by `zsbench pack`; the store is reports/results.sqlite, from which `zsbench report` makes the report.
    """
    from robustbench_zs.studies.archive import unpack as unpack_results

    click.echo(f"{unpack_results(file)} new rows")
