"""The short form of `benchmarks/hardening/kill.py`: processes are really killed, and two run at once."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from kill import SHORT_STUDY, Undisturbed, kill_runs, kill_writers
from runs import Folder, differences


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed.of(SHORT_STUDY, tmp_path_factory.mktemp("undisturbed") / "run")


def test_an_interrupted_and_killed_run_goes_on_and_loses_nothing(undisturbed: Undisturbed, tmp_path: Path) -> None:
    parts = Folder(tmp_path / "parts").begin(SHORT_STUDY, like=undisturbed.folder)
    assert parts.interrupt_after(4) == 130
    assert "Run the same command again" in (parts.path / "log.txt").read_text()
    assert not [name for name in parts.files() if name.endswith((".part", ".lock"))]
    tally = kill_runs(undisturbed, parts, 2, random.Random(1))
    assert tally.kills == 2
    assert tally.compared >= 1
    assert tally.wrong == []


def test_a_killed_writer_leaves_whole_files_and_rows(tmp_path: Path) -> None:
    tally = kill_writers(tmp_path / "writers", 4, random.Random(0))
    assert tally.kills == 4
    assert tally.wrong == []


def test_two_runs_of_one_study_at_once_do_the_work_of_one(undisturbed: Undisturbed, tmp_path: Path) -> None:
    both = Folder(tmp_path / "both").begin(SHORT_STUDY)
    processes = [both.start(), both.start()]
    assert [process.wait(200) for process in processes] == [0, 0]
    log = (both.path / "log.txt").read_text()
    assert len(re.findall("waiting until it is done", log)) == 1
    assert len(re.findall("2 networks, 0 to train, 0 to evaluate", log)) == 1
    assert differences(undisturbed.folder, both) == []
