"""Real runs of `zsbench run` in folders of their own: started, watched, killed, and compared with each other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robustbench_zs.training import read_checkpoint

TABLES = {
    "network_answers": "key, answer",
    "checkpoints": "training_key, weights_digest, path",
}
"""What a run decides in each table of the store; how long it took and when it was is left out."""

LONGEST = 600.0
"""Seconds after which a run counts as hanging."""


@dataclass(frozen=True)
class Folder:
    """A working folder with one study file."""

    path: Path
    study: str = "study.toml"

    def begin(self, text: str, like: Folder | None = None) -> Folder:
        """Start from nothing but the study file, and from the execution choice of another folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        (self.path / self.study).write_text(text, encoding="utf-8")
        for choice in like.path.rglob("execution.json") if like else ():
            there = self.path / choice.relative_to(like.path)  # type: ignore[union-attr]
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(choice, there)
        return self

    def start(self) -> subprocess.Popen[bytes]:
        """`zsbench run`, in a process group of its own, its training state written after every epoch."""
        log = (self.path / "log.txt").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "robustbench_zs.cli", "run", self.study],
                cwd=self.path,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "ZSBENCH_STATE_SECONDS": "0"},
                start_new_session=True,
            )

    def finish(self) -> float:
        """Run until the report is there; seconds it took.

        Raises:
            RuntimeError: it ended otherwise; the message is what it said last.
        """
        start = time.monotonic()
        code = self.start().wait(LONGEST)
        if code != 0:
            raise RuntimeError(f"exit code {code}: {(self.path / 'log.txt').read_text()[-500:]}")
        return time.monotonic() - start

    def kill_after(self, seconds: float) -> bool:
        """Run, and SIGKILL the first process after so long; whether it was still running. Its workers have to end alone."""
        process = self.start()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return True
        if process.returncode != 0:
            raise RuntimeError(f"exit code {process.returncode}: {(self.path / 'log.txt').read_text()[-500:]}")
        return False

    def interrupt_after(self, seconds: float) -> int | None:
        """Run, and press Ctrl-C after so long; the exit code."""
        process = self.start()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
        return process.returncode

    @property
    def standing(self) -> str:
        """What a run was about when it ended, from the files that it left."""
        if any(self.path.rglob("*.part")):
            return "writing a file"
        if any(self.path.rglob("*-journal")):
            return "writing to the store"
        if any(self.path.rglob("*.state.safetensors")):
            return "training"
        trained = sum(1 for _ in self.path.rglob("checkpoints/**/*.safetensors"))
        if not trained:
            return "starting"
        return "reporting" if any(self.path.rglob("results.csv")) else "evaluating"

    def weights(self) -> dict[str, str]:
        """Digest of the weights of each checkpoint, by its place."""
        found = sorted(self.path.rglob("checkpoints/**/*.safetensors"))
        return {str(p.relative_to(self.path)): read_checkpoint(p).digest for p in found}

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """The rows of the store, sorted; it must be sound."""
        with closing(sqlite3.connect(self.path / "reports" / "results.sqlite")) as store:
            assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return {name: sorted(store.execute(f"SELECT {columns} FROM {name}")) for name, columns in TABLES.items()}

    def files(self) -> list[str]:
        """Every file but the log."""
        files = (str(p.relative_to(self.path)) for p in self.path.rglob("*") if p.is_file())
        return sorted(name for name in files if name != "log.txt")


def differences(a: Folder, b: Folder) -> list[str]:
    """In what two finished runs differ; nothing, where neither lost anything."""
    found = [f"weights of {name}" for name, _ in set(a.weights().items()) ^ set(b.weights().items())]
    rows, others = a.rows(), b.rows()
    found += [f"rows of {table}: {len(rows[table])}, {len(others[table])}" for table in rows if rows[table] != others[table]]
    return found + [f"file {name}" for name in set(a.files()) ^ set(b.files())]


def study_text(name: str, schemes: list[str], seeds: list[int], epochs: int, test_examples: int, noises: int) -> str:
    """A study of networks of 8 layers that each train in a second or so, with so many noises, PGD, a curve and transfer."""
    deltas = ", ".join(f"{0.02 * (i + 1):.2f}" for i in range(noises))
    return f"""
name = {json.dumps(name)}
schemes = {json.dumps(schemes)}
depths = [8]
widths = [4, 8, 16]
seeds = {seeds}
masking_images = 20
[dataset]
name = "digits"
train_examples = 200
test_examples = {test_examples}
[recipe]
epochs = {epochs}
batch_size = 32
[[perturbations]]
kind = "gaussian"
delta = [{deltas}]
[[perturbations]]
kind = "pgd"
eps = [0.05, 0.1]
steps = 5
[transfer]
eps = 0.1
steps = 3
[curve]
eps = 0.2
steps = 3
"""
