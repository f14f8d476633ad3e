"""Other machines' habits: screens without Unicode, forced colours, marks at the head of files, no compiler."""

from __future__ import annotations

import codecs
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from robustbench_zs.cli import progress
from robustbench_zs.gate.baseline import Baseline, Entry, read_baseline, write_baseline_file
from robustbench_zs.studies.toml import read_toml
from robustbench_zs.training.step import can_compile


def roots(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "robustbench_zs.cli", "roots", "--lambda", "-9/5", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, env=os.environ | variables, check=False)


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_a_screen_without_unicode(working_folder: Path, encoding: str) -> None:
    table = roots(working_folder, PYTHONIOENCODING=encoding, PYTHONUTF8="0", COLUMNS="160")
    assert table.returncode == 0, table.stderr
    shown = table.stdout.decode(encoding)
    assert "1.00" in shown
    assert "?" not in shown
    rows = roots(working_folder, "--format", "json", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert json.loads(rows.stdout.decode(encoding)) == json.loads(roots(working_folder, "--format", "json").stdout)


def test_forced_colours_draw_no_bars_in_a_log(working_folder: Path) -> None:
    code = (
        "from robustbench_zs.cli.progress import Progress\n"
        "shown = Progress(2)\n"
        "with shown.bars:\n    shown.evaluated('a', 'clean')\n    shown._done('a', 'trained: a')\n"
    )
    variables = os.environ | {"FORCE_COLOR": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=variables, check=True)
    assert b"\x1b" not in done.stderr
    assert b"[1/2] trained: a" in done.stderr


def test_a_log_has_a_line_on_evaluations_each_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = progress.Progress(2)
    shown.evaluated("a", "clean test")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    shown.evaluated("a", "pgd(eps=0.1)")
    assert capsys.readouterr().err.startswith("2 evaluations are done, the last of a: pgd(eps=0.1) (")


def test_marks_at_the_head_of_files(working_folder: Path) -> None:
    Path("study.toml").write_bytes(codecs.BOM_UTF8 + b'name = "marked"\n')
    assert read_toml(Path("study.toml")) == {"name": "marked"}
    import numpy as np

    baseline = Baseline(
        "marked", {"perturbations": {"clean": "{}"}}, (Entry("n", 0, "0" * 64, {"clean": np.ones(3, bool)}),)
    )
    write_baseline_file(Path("b.json"), baseline)
    Path("b.json").write_bytes(codecs.BOM_UTF8 + Path("b.json").read_bytes())
    assert read_baseline("b.json").images == 3


def test_a_choice_of_compiled_code_waits_for_a_compiler(working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copied folder says "compiled"; without a compiler it is trained without."""
    from robustbench_zs.training import Recipe, train, trial

    seen: list[str] = []
    original = trial._shape

    def shape(*arguments: object) -> str:
        seen.append(original(*arguments))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(trial, "_shape", shape)
    options = {"recipe": Recipe(epochs=1, batch_size=16), "train_examples": 32, "device": "cpu", "threads": 1}
    (eager,) = train(["zerosnet20-opt:widths=2-2-2"], **options)  # type: ignore[arg-type]
    (Path("checkpoints") / trial.CHOICES).write_text(json.dumps({seen[0]: {"compiled": True}}))
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not can_compile("cpu")
    (again,) = train(["zerosnet20-opt:widths=2-2-2"], seeds=(1,), **options)  # type: ignore[arg-type]
    assert (eager.header.execution.get("compiled"), again.header.execution.get("compiled")) == (False, False)


def test_completions_by_the_shell(working_folder: Path) -> None:
    def said(**variables: str) -> str:
        command = [sys.executable, "-c", "from robustbench_zs.cli.main import main; main()"]
        variables = os.environ | variables
        return subprocess.run(command, capture_output=True, text=True, env=variables, check=False).stdout

    for shell in ("bash", "zsh", "fish"):
        assert "_ZSBENCH_COMPLETE" in said(_ZSBENCH_COMPLETE=f"{shell}_source")
    assert said(_ZSBENCH_COMPLETE="bash_complete", COMP_WORDS="zsbench att", COMP_CWORD="1").split() == ["plain,attack"]
