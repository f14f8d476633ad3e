"""Disks that are full or cannot be written, stores that another process holds: all of it for real."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from robustbench_zs.training import Checkpoint, read_checkpoint

COMMAND = [sys.executable, "-m", "robustbench_zs.cli"]


def zsbench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=200)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """A file that leaves so many bytes of the disk."""
    free = os.statvfs(disk)
    (disk / "ballast").write_bytes(bytes(free.f_bavail * free.f_frsize - leave))
    return disk / "ballast"


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 3, result.stderr
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    for word in words:
        assert word in last


def parts(disk: Path) -> list[str]:
    return [p.name for p in disk.rglob("*") if p.name.endswith((".part", ".lock", "-journal"))]


@pytest.mark.parametrize("leave", [0, 20_000])
def test_a_disk_that_is_full_ends_a_training_and_with_room_it_goes_on(disk: Path, leave: int) -> None:
    train = ("train", "--network", "preresnet8:widths=8-16-32", "--epochs", "1", "--format", "json")
    ballast = fill(disk, leave)
    refused(zsbench(disk, *train), "No space left")
    assert parts(disk) == []
    assert not list(disk.rglob("*.safetensors"))
    ballast.unlink()
    assert zsbench(disk, *train).returncode == 0
    (path,) = disk.rglob("*.safetensors")
    read_checkpoint(path).network()


def test_a_disk_that_is_full_ends_an_evaluation_and_keeps_what_is_stored(disk: Path, checkpoint: Checkpoint) -> None:
    given = str(checkpoint.path)
    noise = ("evaluate", given, "--noise", "gaussian", "--format", "csv")
    first = zsbench(disk, *noise, "--delta", "0.01")
    assert first.returncode == 0, first.stderr
    fill(disk, 0)
    # The pages that the store has may hold a few rows more.
    results = (zsbench(disk, *noise, "--noise-seed", str(seed), "--delta", "0.2") for seed in range(6))
    refused(next(result for result in results if result.returncode), "results store", "full")
    (disk / "ballast").unlink()
    again = zsbench(disk, *noise, "--delta", "0.01")
    assert again.stdout == first.stdout
    with closing(sqlite3.connect(disk / "reports" / "results.sqlite")) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert parts(disk) == []


def test_a_disk_that_cannot_be_written_is_named(disk: Path, checkpoint: Checkpoint) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    refused(zsbench(disk, "train", "--network", "preresnet8:widths=4-4-4", "--epochs", "1"), "Read-only file system")
    refused(zsbench(disk, "evaluate", str(checkpoint.path)), "Read-only file system")
    refused(zsbench(disk, "roots", "1", "--output", "a.csv"), "Read-only file system")
    assert list(disk.iterdir()) == []


HOLD = """
import sqlite3, sys, time
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
store.execute("COMMIT")
"""


def test_a_store_that_another_process_holds_is_waited_for(tmp_path: Path, checkpoint: Checkpoint) -> None:
    given = str(checkpoint.path)
    first = zsbench(tmp_path, "evaluate", given, "--format", "csv")
    assert first.returncode == 0, first.stderr
    held = 10.0
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, "reports/results.sqlite", str(held)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        start = time.monotonic()
        noisy = zsbench(tmp_path, "evaluate", given, "--noise", "gaussian", "--delta", "0.1", "--format", "csv")
        assert noisy.returncode == 0, noisy.stderr
        assert time.monotonic() - start > held - 1
