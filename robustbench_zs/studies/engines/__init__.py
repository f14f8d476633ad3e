"""The engines that run a study: processes on this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from robustbench_zs.errors import RequestError
from robustbench_zs.studies.engines.engine import Assignment, Engine, OnEvent, StudyEvents
from robustbench_zs.studies.engines.local import LocalEngine
from robustbench_zs.studies.engines.standing import Standing
from robustbench_zs.training.execution import Compute

ENGINES = ("local", "ray")


@contextmanager
def open_engine(name: str, compute: Compute, address: str | None = None) -> Iterator[Engine]:
    """An engine by its name, until the block ends.

    Args:
        compute: device, threads and workers; Ray decides itself how many jobs run at a time.
        address: of a Ray cluster; see `RayEngine`.

    Raises:
        RequestError: there is no such engine, no such device, or an address for an engine that has none.
        UnfinishedError: the cluster cannot be reached.
    """
    engine: Engine
    if name == "ray":
        from robustbench_zs.studies.engines.ray import RayEngine

        engine = RayEngine(address, compute.device, compute.threads)
    elif name != "local":
        raise RequestError(f"the engine must be one of {', '.join(ENGINES)}, not {name[:40]!r}")
    elif address is not None:
        raise RequestError(f"the address {address[:80]!r} of a Ray cluster requires the engine ray, not {name!r}")
    else:
        engine = LocalEngine(compute.device, compute.threads, compute.workers)
    try:
        yield engine
    finally:
        engine.close()


__all__ = ["ENGINES", "Assignment", "Engine", "LocalEngine", "OnEvent", "Standing", "StudyEvents", "open_engine"]
