"""The JSON schema of a study file agrees with what is read, and the published copy is current."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner

from robustbench_zs.cli.main import cli
from robustbench_zs.studies.schema import study_schema

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "benchmarks").glob("*.toml"))
SCHEMA = study_schema()
LEAST: dict[str, Any] = {"name": "mine", "schemes": ["euler"], "dataset": {"name": "digits"}}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_shipped_study_fits_the_schema(path: Path) -> None:
    jsonschema.validate(tomllib.loads(path.read_text(encoding="utf-8")), SCHEMA)


@pytest.mark.parametrize(
    "change",
    [
        {"epsilon": 0.1},
        {"seeds": [-1]},
        {"name": "Not A Name"},
        {"perturbations": [{"kind": "pgd"}]},
        {"perturbations": [{"kind": "gaussian", "delta": 0.1, "eps": 0.1}]},
        {"scaled": "no file sets this"},
        {"parts": []},
    ],
)
def test_what_is_refused_does_not_fit(change: dict[str, Any]) -> None:
    jsonschema.validate(LEAST, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(LEAST | change, SCHEMA)


def test_numbers_may_be_text() -> None:
    eps: list[Any] = ["8/255", 0.1]
    jsonschema.validate(LEAST | {"perturbations": [{"kind": "pgd", "eps": eps}]}, SCHEMA)


def test_the_command_prints_what_the_documentation_publishes() -> None:
    """If this fails: `zsbench schema > docs/study.schema.json`."""
    printed = CliRunner().invoke(cli, ["schema"]).output
    assert json.loads(printed) == SCHEMA
    assert (ROOT / "docs" / "study.schema.json").read_text(encoding="utf-8") == printed
