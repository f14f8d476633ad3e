"""How a training runs on a machine, as a value."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from robustbench_zs.errors import RequestError
from robustbench_zs.system.workers import available_cores

DEFAULT_BATCH_SIZE = 256
"""Of evaluations."""

MAX_LOADERS = 16
"""Worker processes that decode images from files, a network."""


@dataclass(frozen=True)
class Compute:
    """What of the machine may be used, as it is asked for: None leaves a choice open.

    Args:
        device: as torch names it; CUDA where there is one by default.
        threads: of each network; by default its share of the cores.
        workers: networks at a time, on a CPU.
        batch_size: images at a time, in evaluations.

    Raises:
        RequestError: a value out of range.
    """

    device: str | None = None
    threads: int | None = None
    workers: int = 1
    batch_size: int = DEFAULT_BATCH_SIZE

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= 1_000_000:
            raise RequestError(f"the batch size must lie between 1 and 1000000, not {self.batch_size}")
        object.__setattr__(self, "batch_size", int(self.batch_size))

    def execution(self, networks: int) -> Execution:
        """Device and threads for each of so many networks, see `choose_execution`."""
        return choose_execution(networks, self.device, self.threads, self.workers)


@dataclass(frozen=True)
class Execution:
    """How the training runs on a machine; decides the time and the rounding, not what is trained.

    On a CPU the same execution choice gives the same weights, bit for bit. `compiled` is whether steps run compiled code,
    `places` of how many networks a stack consists (see `together`), `streams` how many networks a GPU trains side by side by
    CUDA graphs (see `graphed`), 1 for without; `processes` how many train one network together.
    """

    device: str
    threads: int
    layout: str = "channels_last"
    processes: int = 1
    compiled: bool = False
    places: int = 1
    streams: int = 1

    @property
    def at_a_time(self) -> int:
        """Networks that one job trains at a time."""
        return max(self.places, self.streams)

    @property
    def loaders(self) -> int:
        """Worker processes that decode images from files, a network."""
        return 0 if self.device == "cpu" else min(MAX_LOADERS, self.threads)


def choose_device(device: str | None) -> torch.device:
    """The named device, else CUDA if there is one, else the CPU.

    Raises:
        RequestError: torch knows no such device, or it is not there.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()  # a device without memory, such as meta, has no numbers
    # whatever torch raises for a device it lacks: an unknown name, no driver, a backend that it was not built with
    except Exception as error:
        raise RequestError(f"the device {device[:40]!r} is not available here: use cpu") from error
    return chosen


def choose_execution(networks: int, device: str | None, threads: int | None, workers: int, processes: int = 1) -> Execution:
    """Device and threads per network; several networks or processes on a CPU share its cores."""
    if threads is not None and not 1 <= threads <= 1024:
        raise RequestError(f"the number of threads must lie between 1 and 1024, not {threads}")
    chosen = choose_device(device)
    at_a_time = processes if processes > 1 else max(1, min(workers, networks)) if chosen.type == "cpu" else 1
    return Execution(str(chosen), int(threads or max(1, available_cores() // at_a_time)), processes=processes)
