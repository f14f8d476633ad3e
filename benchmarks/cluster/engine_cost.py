"""What the engine ray costs by itself, with jobs that do nothing: `python benchmarks/cluster/engine_cost.py JOBS SECONDS`.

Starts Ray on this machine with two cores, has the engine hand out JOBS empty jobs for at most SECONDS, and writes
engine.json: seconds until the first job is done, jobs per second after that, seconds that a job occupies its worker, and the
driver's memory before there are jobs, with all of them waiting, and at the end.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from robustbench_zs import ResultsStore, load_study, make_plan
from robustbench_zs.studies.engines import Assignment, Standing, StudyEvents
from robustbench_zs.studies.engines.claims import Claim
from robustbench_zs.studies.engines.ray import RayEngine
from robustbench_zs.studies.engines.ray_jobs import RayJob
from robustbench_zs.system.environment import environment
from robustbench_zs.training.execution import Execution


class _EnoughError(Exception):
    """The time is over."""


def memory() -> float:
    """MiB of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(jobs: int, seconds: float) -> None:
    """Run the jobs and write what was measured."""
    import ray

    folder = tempfile.mkdtemp(prefix="zs-", dir="/tmp")
    ray.init(
        num_cpus=2,
        object_store_memory=80_000_000,
        include_dashboard=False,
        _temp_dir=folder,
        log_to_driver=False,
    )
    engine = RayEngine(device="cpu", threads=1)
    study = load_study("digits")
    measured: dict[str, Any] = {"jobs": jobs, "memory_before_MiB": memory()}
    waiting = [RayJob(number, (), Execution("cpu", 1), Claim(1), 1.0) for number in range(jobs)]
    measured["memory_with_all_waiting_MiB"] = memory()
    begun, cpu = time.monotonic(), time.process_time()
    seen: list[tuple[float, float, int]] = []

    def note(standing: Standing) -> None:
        if standing.done:
            seen.append((time.monotonic() - begun, time.process_time() - cpu, standing.done))
        if time.monotonic() - begun > seconds:
            raise _EnoughError

    store = ResultsStore(Path(folder) / "results.sqlite")
    assignment = Assignment(make_plan(study), store, 256, StudyEvents(say=print, standing=note))
    with suppress(_EnoughError):
        engine._run(waiting, assignment)
    (first, first_cpu, at_first), (last, last_cpu, at_last) = seen[0], seen[-1]
    rate = (at_last - at_first) / (last - first)
    measured |= {
        "done": at_last,
        "driver_processor_seconds_per_job": (last_cpu - first_cpu) / (at_last - at_first),
        "memory_at_the_end_MiB": memory(),
        "load": os.getloadavg()[0],
        "processor": environment()["processor"],
        "engine": {"start": first, "job": 2 / rate, "jobs_per_second": rate},
    }
    engine.close()
    (Path(__file__).parent / "engine.json").write_text(json.dumps(measured, indent=1) + "\n")
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
