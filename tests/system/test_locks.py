from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from robustbench_zs.errors import UnfinishedError
from robustbench_zs.system.files import write_atomically
from robustbench_zs.system.locks import alone_in, held

SPAWN = multiprocessing.get_context("spawn")
SIZE = 2_000_000


def count_up(path: Path, times: int, start: Barrier) -> None:
    """A read and a write with a pause between them: without a lock most of the counts are lost."""
    start.wait()
    for _ in range(times):
        with held(path.with_suffix(".lock")):
            number = int(path.read_text())
            time.sleep(0.001)
            path.write_text(str(number + 1))


def replace_again_and_again(path: Path, letter: bytes, times: int, start: Barrier) -> None:
    start.wait()
    for _ in range(times):
        write_atomically(path, letter * SIZE)


def hold_until_killed(path: Path, start: Barrier) -> None:
    with held(path) as descriptor:
        os.write(descriptor, b"half of it")
        start.wait()
        time.sleep(60)


def test_two_processes_take_turns(tmp_path: Path) -> None:
    path, start = tmp_path / "count", SPAWN.Barrier(2)
    path.write_text("0")
    processes = [SPAWN.Process(target=count_up, args=(path, 100, start)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert path.read_text() == "200"


def test_a_file_that_two_processes_replace_is_always_one_of_theirs(tmp_path: Path) -> None:
    path, start = tmp_path / "file", SPAWN.Barrier(3)
    write_atomically(path, b"a" * SIZE)
    writers = [SPAWN.Process(target=replace_again_and_again, args=(path, letter, 40, start)) for letter in (b"a", b"b")]
    for process in writers:
        process.start()
    start.wait()
    seen = set()
    while any(process.is_alive() for process in writers):
        content = path.read_bytes()
        assert len(content) == SIZE
        assert content.count(content[:1]) == SIZE
        seen.add(content[:1])
    assert [process.exitcode for process in writers] == [0, 0]
    assert list(tmp_path.iterdir()) == [path]
    assert seen == {b"a", b"b"}


def test_what_a_killed_process_left_is_taken_up_by_the_next_one(tmp_path: Path) -> None:
    path, start = tmp_path / "file", SPAWN.Barrier(2)
    process = SPAWN.Process(target=hold_until_killed, args=(tmp_path / ".file.part", start))
    process.start()
    start.wait()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert [p.name for p in tmp_path.iterdir()] == [".file.part"]
    write_atomically(path, b"all")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"all"}


def test_whoever_waits_is_told_once_and_goes_on_afterwards(tmp_path: Path) -> None:
    start = SPAWN.Barrier(2)
    process = SPAWN.Process(target=hold_until_killed, args=(tmp_path / ".lock", start))
    process.start()
    start.wait()
    said: list[str] = []

    def say(words: str) -> None:
        said.append(words)
        process.kill()

    with alone_in(tmp_path, say):
        assert [words.partition(":")[0] for words in said] == [f"another process is at work in {tmp_path}"]
        assert (tmp_path / ".lock").exists()
    process.join()
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / ".file.part").symlink_to(precious)
    with pytest.raises(UnfinishedError, match="could not be written"):
        write_atomically(tmp_path / "file", b"content")
    assert precious.read_text() == "mine"


def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for folder in ("there/new", "new/newer"):
        with alone_in(tmp_path / folder):
            assert (tmp_path / folder / ".lock").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["there"]
    with alone_in(tmp_path / "kept"):
        (tmp_path / "kept" / "file").touch()
    assert [p.name for p in (tmp_path / "kept").iterdir()] == ["file"]


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnfinishedError, match=r"\.lock could not be made"), alone_in(tmp_path / "file"):
        pass
