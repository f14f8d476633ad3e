"""Studies of the atlas: what they train, in which order, and that the smallest form runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from robustbench_zs.errors import RequestError
from robustbench_zs.studies.load import load_study
from robustbench_zs.studies.plan import make_plan
from robustbench_zs.studies.run import report, run_study, train_study
from robustbench_zs.studies.study import Study

SMALL = """
name = "phases"
depths = [14]
widths = [4, 4, 4]
[atlas]
schemes_per_half = 2
[dataset]
name = "digits"
train_examples = 32
test_examples = 20
[recipe]
epochs = 1
"""

SIZES = {"atlas-digits": 1000, "atlas-cifar10": 250, "atlas-mnist": 250}


def study(name: str, scale: str | None = None) -> Study:
    loaded = load_study(name, scale)
    assert isinstance(loaded, Study)
    return loaded


@pytest.mark.parametrize("name", SIZES)
def test_a_study_of_the_atlas_confirms_last(name: str) -> None:
    full = study(name)
    assert full.size == SIZES[name] == sum(map(len, full.phases()))
    trained = [step.task for step in make_plan(full).evaluations]
    assert len({(task.network.name, task.seed) for task in trained}) == full.size
    confirms = [int(task.network.name[6:9]) > 400 for task in trained]
    assert confirms == sorted(confirms)
    assert sum(confirms) == full.size / 2
    again = [task for task in trained if task.seed == 1]
    assert len(again) == full.size / 5
    assert {task.network for task in again} < {task.network for task in trained if task.seed == 0}
    assert full.curve
    assert study(name, "small").size == 30
    assert "schemes per half 12 instead of" in study(name, "small").scaled


def test_the_smallest_form_runs_discovery_first(working_folder: Path) -> None:
    finished: list[str] = []

    def event(task: Any, what: Any) -> None:
        if not isinstance(what, str):
            finished.append(task.network.name)

    result = run_study("atlas-digits", scale="smoke", device="cpu", threads=1, on_event=event)
    assert result.trained == 4
    assert finished == sorted(finished, key=lambda name: int(name[6:9]) > 400)
    assert set(result.results["scheme"]) == {"atlas-001", "atlas-002", "atlas-401", "atlas-402"}
    assert len(report("atlas-digits", scale="smoke").results) == len(result.results)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ('[dataset]\nname = "digits"\ntest_examples = 1000\n[atlas]', "digits has 360 test images, not 1000"),
        ('[dataset]\nname = "digits"\n[atlas]\nschemes_per_half = 401', "must have 1 to 400 schemes, not 401"),
        ('[dataset]\nname = "digits"\n[atlas]\nhalves = 2', "unknown key 'atlas.halves': choose from half, "),
        ('[dataset]\nname = "digits"\n[scale.small]\nschemes_per_half = 4', "requires the table [atlas]"),
    ],
)
def test_what_the_atlas_or_the_dataset_does_not_have_is_refused(tables: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    schemes = "" if "[atlas]" in tables else 'schemes = ["euler"]'
    path.write_text(f'name = "mine"\n{schemes}\n{tables}\n')
    with pytest.raises(RequestError, match=message.replace("[", r"\[")):
        load_study(path, "small" if "small" in tables else None)


def test_training_only_confirms_last_too(working_folder: Path) -> None:
    Path("phases.toml").write_text(SMALL)
    trained: list[str] = []
    made = train_study(
        "phases.toml", device="cpu", threads=1, on_event=lambda task, event: trained.append(task.network.name[:9])
    )
    assert trained == ["atlas-001", "atlas-002", "atlas-401", "atlas-402"]
    assert [c.header.network.name[:9] for c in made] == trained
