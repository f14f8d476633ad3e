"""The short form of `benchmarks/hardening/kill.py`: processes are really killed."""

from __future__ import annotations

import random
from pathlib import Path

from kill import SHORT_STUDY, kill_runs, kill_writers
from runs import Folder


def test_a_killed_run_goes_on_and_loses_nothing(tmp_path: Path) -> None:
    tally = kill_runs(tmp_path, SHORT_STUDY, 2, random.Random(1))
    assert tally.kills == 2
    assert tally.compared >= 1
    assert tally.wrong == []


def test_a_killed_writer_leaves_whole_files_and_rows(tmp_path: Path) -> None:
    tally = kill_writers(tmp_path / "writers", 4, random.Random(0))
    assert tally.kills == 4
    assert tally.wrong == []


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run").begin(SHORT_STUDY)
    assert folder.interrupt_after(4) == 130
    assert "Run the same command again" in (folder.path / "log.txt").read_text()
    assert not [name for name in folder.files() if name.endswith((".part", ".lock"))]
    folder.finish()
