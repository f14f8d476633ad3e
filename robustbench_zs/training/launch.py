"""Training of one network by several processes of this machine that a process of it starts, as `torchrun` would."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import multiprocessing
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from robustbench_zs.errors import UnfinishedError
from robustbench_zs.training.distributed import device_of_this_process, processes
from robustbench_zs.training.events import Events
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.loop import Epoch
from robustbench_zs.training.task import TrainingTask
from robustbench_zs.training.train import train_all

PATIENCE = 0.2
"""Seconds between two looks for events."""


def train_in_processes(task: TrainingTask, size: int, execution: Execution, send: Callable[[Epoch], None]) -> None:
    """Train a network by so many processes together, each with a GPU of its own or on the CPU, and write its checkpoint.

    Args:
        execution: device and threads of each process.
        send: gets every epoch.

    Raises:
        UnfinishedError: a process failed.
    """
    execution = replace(execution, processes=size, compiled=False, places=1)
    events = multiprocessing.get_context("spawn").SimpleQueue()
    started = start_processes(_train, (size, _free_port(), task, execution, events), size, join=False, start_method="spawn")
    try:
        while not started.join(PATIENCE):
            _pass_on(events, send)
    except (ProcessRaisedException, ProcessExitedException) as error:
        raise UnfinishedError(
            f"{task.network.name}: a process of its training failed: {str(error).strip().splitlines()[-1]}"
        ) from error
    finally:
        for process in started.processes:
            process.kill()
    _pass_on(events, send)


def _pass_on(events: Any, send: Callable[[Epoch], None]) -> None:
    while not events.empty():
        send(events.get())


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _train(rank: int, size: int, port: int, task: TrainingTask, execution: Execution, events: Any) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    device = device_of_this_process(execution.device)
    with processes(device) as group:
        train_all([task], replace(execution, device=str(device)), 1, group, Events(epoch=partial(_put, events)))


def _put(events: Any, task: TrainingTask, epoch: Epoch) -> None:
    events.put(epoch)
