"""Independent jobs in several processes of this machine, with events from them while they run.

The networks of a study are small: one process of two threads is hardly faster than one of one thread, so on a CPU each job
gets few threads and the jobs run side by side.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from robustbench_zs.errors import UnfinishedError

Result = TypeVar("Result")
Send = Callable[[Any], None]

SECONDS_TO_END = 5.0
"""How long a worker process that has no job left may take to end by itself."""

_events: Any = None


@dataclass(frozen=True)
class Job(Generic[Result]):
    """A call `function(*arguments, send)`; `send(event)` passes an event on to whoever runs the jobs."""

    function: Callable[..., Result]
    arguments: tuple[Any, ...]

    def run(self, send: Send) -> Result:
        return self.function(*self.arguments, send)


def available_cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[Job[Result]], workers: int, on_event: Callable[[int, Any], None] = lambda index, event: None
) -> Iterator[tuple[int, Result]]:
    """Run the jobs, at most `workers` at a time, and yield (index, result) as each one ends.

    With one worker or one job everything runs in this process. `on_event(index, event)` is called in this process.

    Raises:
        UnfinishedError: a worker process ended before its job: killed, for example for want of memory, or started by a
            script that has no `if __name__ == "__main__":` around its calls.
        Exception: whatever a job raised.
    """
    if min(workers, len(jobs)) <= 1:
        for index, job in enumerate(jobs):
            yield index, job.run(lambda event, index=index: on_event(index, event))  # type: ignore[misc]
        return
    context = multiprocessing.get_context("spawn")  # fork would copy torch's thread pools in an unusable state
    events = context.SimpleQueue()  # its put is synchronous: what a job sent has arrived when its result has
    finished = False
    executor = ProcessPoolExecutor(min(workers, len(jobs)), context, _start_worker, (events,))
    try:
        waiting: dict[Future[Result], int] = {
            executor.submit(_run_in_worker, index, job): index for index, job in enumerate(jobs)
        }
        while waiting:
            done, _ = wait(waiting, timeout=0.1, return_when=FIRST_COMPLETED)
            _drain(events, on_event)
            # The pool may not see the death of the process it started last until another job ends, hours later.
            if any(p.exitcode not in (None, 0) for p in (executor._processes or {}).values()):
                raise BrokenProcessPool
            for future in done:
                yield waiting.pop(future), future.result()
        finished = True
    except BrokenProcessPool as error:
        raise UnfinishedError(
            "a worker process ended before its job, perhaps because memory ran out: run again (a Python script that uses "
            'workers must call them under `if __name__ == "__main__":`)'
        ) from error
    finally:
        processes = list((executor._processes or {}).values())
        executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            if finished:
                process.join(SECONDS_TO_END)  # it gives back semaphores, which would be reported as leaked
            process.terminate()  # an interrupted run does not wait for the networks in training
        for process in processes:
            process.join()


def _drain(events: Any, on_event: Callable[[int, Any], None]) -> None:
    while not events.empty():
        on_event(*events.get())


def _start_worker(events: Any) -> None:
    global _events
    _events = events
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A process that is killed cannot end its workers, and what they went on with would be in the way of the next run."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run_in_worker(index: int, job: Job[Result]) -> Result:
    return job.run(lambda event: _events.put((index, event)))
