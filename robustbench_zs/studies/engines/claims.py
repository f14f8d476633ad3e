"""What a job asks of a cluster: cores, and a GPU, a part of one, or several.

A small network leaves most of a GPU idle, because starting its kernels takes longer than they do. So a job asks for the
part of a GPU that the arithmetic of its steps would keep busy, at least 1/8 and always 1/n, so that parts add up; networks
in a stack count together. A recipe with several replicas on large images is trained by several GPUs of one node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from robustbench_zs.studies.cost import GRADIENT, of_one_image
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.task import TrainingTask

FULL_STEP = 5e11
"""Multiply-adds of a training step that keeps a current GPU busy for some ten milliseconds, as its kernels take to start."""

MAX_SHARING = 8
"""Jobs on one GPU: each needs memory for its code and the dataset as well."""


@dataclass(frozen=True)
class Node:
    """A node of a cluster."""

    cores: int
    gpus: int


@dataclass(frozen=True)
class Claim:
    """What a job asks for."""

    cores: int
    gpus: float = 0.0

    @property
    def processes(self) -> int:
        """How many processes train a network together."""
        return max(1, int(self.gpus))

    def places(self, nodes: list[Node]) -> int:
        """How many such jobs run at a time."""
        on_each = [
            min(node.cores // self.cores, math.floor(node.gpus / self.gpus + 1e-9) if self.gpus else node.cores)
            for node in nodes
        ]
        return max(1, sum(on_each))


def claim_of(task: TrainingTask, execution: Execution, nodes: list[Node]) -> Claim:
    """What a job that trains a network asks for, by the rule above; on a CPU as many cores as it has threads."""
    if not execution.device.startswith("cuda"):
        return Claim(execution.threads)
    with_gpus = [node for node in nodes if node.gpus] or [Node(1, 1)]
    most = max(node.gpus for node in with_gpus)
    gpus = _several(task, most) or _part(task, execution)
    cores = min(int(node.cores / node.gpus * gpus) for node in with_gpus)
    return Claim(max(1, cores), gpus)


def _several(task: TrainingTask, most: int) -> float:
    """The largest number of a node's GPUs that deals the replicas of large images evenly; 0 where that is one."""
    if task.image_size is None and task.dataset != "imagenet":
        return 0.0
    number = max(n for n in range(1, most + 1) if task.recipe.replicas % n == 0)
    return float(number) if number > 1 else 0.0


def _part(task: TrainingTask, execution: Execution) -> float:
    step = GRADIENT * of_one_image(task) * task.recipe.batch_size
    busy = step * execution.places / FULL_STEP
    return 1 / max(1, min(MAX_SHARING, int(1 / busy)))
