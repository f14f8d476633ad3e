"""Who does the work of a study: processes of this machine, or a cluster of Ray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from robustbench_zs.errors import RequestError
from robustbench_zs.studies.engines.engine import Assignment, Engine, OnEvent
from robustbench_zs.studies.engines.local import LocalEngine
from robustbench_zs.studies.engines.standing import Standing

ENGINES = ("local", "ray")


@contextmanager
def open_engine(
    name: str, device: str | None, threads: int | None, workers: int, address: str | None = None
) -> Iterator[Engine]:
    """An engine by its name, until the block ends.

    Args:
        device, threads, workers: as for `train`; Ray decides itself how many jobs run at a time.
        address: of a Ray cluster; see `RayEngine`.

    Raises:
        RequestError: there is no such engine, no such device, or an address for an engine that has none.
        UnfinishedError: the cluster cannot be reached.
    """
    engine: Engine
    if name == "ray":
        from robustbench_zs.studies.engines.ray import RayEngine

        engine = RayEngine(address, device, threads)
    elif name != "local":
        raise RequestError(f"the engine is one of {', '.join(ENGINES)}, not {name[:40]!r}")
    elif address is not None:
        raise RequestError("an address is that of a Ray cluster: it goes with the engine ray")
    else:
        engine = LocalEngine(device, threads, workers)
    try:
        yield engine
    finally:
        engine.close()


__all__ = ["ENGINES", "Assignment", "Engine", "LocalEngine", "OnEvent", "Standing", "open_engine"]
