"""`zsbench schema`: the JSON schema of a study file."""

from __future__ import annotations

import json

import click

from robustbench_zs.cli.command import Command


@click.command(cls=Command)
def schema() -> None:
    """Print the JSON schema of a study file.

    Editors complete and check the keys of a study by it, if the first line of the study names the schema:

    \b
    zsbench schema > study.schema.json
    #:schema ./study.schema.json
    """
    from robustbench_zs.studies.schema import study_schema

    click.echo(json.dumps(study_schema(), indent=2, ensure_ascii=False))
