from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from robustbench_zs.errors import RequestError, UnfinishedError
from robustbench_zs.system.workers import Job, Send, available_cores, run_jobs

held: Any = None

NAP = 8.0
"""Seconds of a job that is to be ended before it ends by itself."""


def square_after(seconds: float, number: int, send: Send) -> int:
    send(("started", number))
    time.sleep(seconds)
    return number**2


class SlowToSend:
    """An event that is still on its way when the result of its job is there."""

    def __getstate__(self) -> dict[str, Any]:
        time.sleep(0.5)
        return {"slow": True}


def send_at_the_very_end(send: Send) -> int:
    send(SlowToSend())
    return 0


def own_pid(send: Send) -> int:
    return os.getpid()


def refuse(send: Send) -> int:
    raise RequestError("no such thing")


def kill_itself(send: Send) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def note_pid_and_sleep(folder: str, send: Send) -> int:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(NAP)
    return 0


def hold_a_semaphore(folder: str, send: Send) -> int:
    global held
    held = multiprocessing.get_context("spawn").Semaphore()  # as compiled code does
    return 0


RUN_TWO = """
import sys
sys.path.insert(0, {tests!r})
from robustbench_zs.system.workers import Job, run_jobs
from test_workers import hold_a_semaphore, note_pid_and_sleep
if __name__ == "__main__":
    list(run_jobs([Job({job}, ({folder!r},))] * 2, 2))
"""


def run_two(job: str, folder: Path) -> str:
    return RUN_TWO.format(tests=str(Path(__file__).parent), folder=str(folder), job=job)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def none_left(folder: Path) -> bool:
    """Whether all workers are gone, or go within a moment."""
    deadline = time.monotonic() + 2
    while multiprocessing.active_children() or any(alive(int(path.name)) for path in folder.iterdir()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_result_comes_once_with_its_index_and_every_event_arrives(workers: int) -> None:
    jobs = [Job(square_after, (0.2 / (number + 1), number)) for number in range(5)]
    events: list[tuple[int, Any]] = []
    results = list(run_jobs(jobs, workers, lambda index, event: events.append((index, event))))
    assert sorted(results) == [(number, number**2) for number in range(5)]
    assert sorted(events) == [(number, ("started", number)) for number in range(5)]


def test_events_sent_at_the_very_end_of_the_last_jobs_arrive() -> None:
    events: list[Any] = []
    list(run_jobs([Job(send_at_the_very_end, ())] * 2, 2, lambda _, event: events.append(event)))
    assert len(events) == 2


def test_one_worker_runs_in_this_process_and_two_do_not() -> None:
    jobs = [Job(own_pid, ())] * 2
    assert {pid for _, pid in run_jobs(jobs, 1)} == {os.getpid()}
    assert os.getpid() not in {pid for _, pid in run_jobs(jobs, 2)}


def test_no_jobs_give_no_results() -> None:
    assert list(run_jobs([], 4)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_of_a_job_is_raised_here(tmp_path: Path, workers: int) -> None:
    with pytest.raises(RequestError, match="no such thing"):
        list(run_jobs([Job(refuse, ()), Job(refuse, ())], workers))
    assert none_left(tmp_path)


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_worker_is_an_unfinished_run_and_leaves_no_process(tmp_path: Path, killed: int) -> None:
    jobs = [Job(note_pid_and_sleep, (str(tmp_path),)), Job(note_pid_and_sleep, (str(tmp_path),))]
    jobs[killed] = Job(kill_itself, ())
    start = time.monotonic()
    with pytest.raises(UnfinishedError, match="run again"):
        list(run_jobs(jobs, 2))
    assert none_left(tmp_path)
    assert time.monotonic() - start < NAP, "the other worker had to end before the death of this one was seen"


def test_an_interrupted_run_ends_its_workers_at_once(tmp_path: Path) -> None:
    def interrupt(index: int, event: Any) -> None:
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(run_jobs([Job(note_pid_and_sleep, (str(tmp_path),)), Job(square_after, (NAP, 1))], 2, interrupt))
    assert none_left(tmp_path)
    assert time.monotonic() - start < NAP


def test_available_cores_are_those_this_process_may_use() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", run_two("note_pid_and_sleep", tmp_path)]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    start = time.monotonic()
    assert none_left(tmp_path)
    assert time.monotonic() - start < NAP / 2


def test_workers_that_are_done_leave_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", run_two("hold_a_semaphore", tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
