"""Training by several processes that `torchrun` started, on one host or several."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from robustbench_zs.errors import RequestError

PATIENCE = timedelta(hours=2)
"""How long processes wait for one another; the first one may be writing or preparing data."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train one network together: `rank` of `size`."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def agreed(self, value: Any) -> Any:
        """What the first process has as `value`."""
        if self.size == 1:
            return value
        values = [value]
        torch.distributed.broadcast_object_list(values)
        return values[0]

    def share_buffers(self, network: nn.Module) -> None:
        """Give every process the buffers (batch-norm statistics) of the first."""
        if self.size > 1:
            for buffer in network.buffers():
                torch.distributed.broadcast(buffer, 0)

    def dealt(self, replicas: int) -> tuple[int, range]:
        """How many shares a step is dealt to, and which of them this process works through.

        Raises:
            RequestError: the shares cannot be dealt to the processes evenly.
        """
        shares = self.size if replicas == 1 else replicas
        each, rest = divmod(shares, self.size)
        if rest:
            raise RequestError(
                f"{self.size} processes cannot share the {replicas} replicas of the recipe evenly: "
                f"use a multiple of {self.size} replicas"
            )
        return shares, range(self.rank * each, (self.rank + 1) * each)


ALONE = Processes()


def launched() -> bool:
    """Whether `torchrun` started this process beside others."""
    return int(os.environ.get("WORLD_SIZE") or 1) > 1 and {"RANK", "MASTER_ADDR"} <= set(os.environ)


def is_first() -> bool:
    """Whether this process is the one that prints: alone, or rank 0."""
    return not launched() or os.environ["RANK"] == "0"


def device_of_this_process(device: str | None) -> str | None:
    """Under `torchrun` each process of a host has a GPU of its own."""
    chosen = device or ("cuda" if torch.cuda.is_available() else None)
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if launched() and chosen == "cuda" else device


@contextmanager
def processes(device: str | None) -> Iterator[Processes]:
    """Join the other processes, over NCCL on GPUs and Gloo on CPUs; alone where there are none.

    Args:
        device: that of this process, see `device_of_this_process`.
    """
    if not launched():
        yield ALONE
        return
    cuda = device is not None and device.startswith("cuda")
    if cuda:
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()


def wrapped(network: nn.Module, group: Processes, replicas: int) -> nn.Module:
    """The network as several processes train it; the network itself where there is one process.

    With one replica, batch norm takes its statistics over all processes (SyncBatchNorm, on GPUs only); with more,
    each share keeps its own.

    Raises:
        RequestError: one replica on several CPU processes.
    """
    if group.size == 1:
        return network
    device = next(network.parameters()).device
    if replicas == 1:
        if device.type != "cuda":
            raise RequestError(
                f"{group.size} processes on a CPU need {group.size} replicas, each with its own batch-norm statistics: "
                "statistics over all processes (SyncBatchNorm) exist on GPUs only"
            )
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    devices = [device.index] if device.type == "cuda" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its new name is unknown to older versions of torch
        return nn.parallel.DistributedDataParallel(network, device_ids=devices, broadcast_buffers=False)
