"""What the steps of a plan cost: multiply-adds, seconds by a measured rate, and the time that a number of workers take.

Everything is an upper bound of the usual kind: attacks stop at images that are fooled, which is not known before.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from robustbench_zs.datasets.known import KNOWN, OTHER
from robustbench_zs.datasets.streamed import IMAGENET_SIZE
from robustbench_zs.evaluation.questions import Accuracy
from robustbench_zs.networks import NetworkSpec
from robustbench_zs.networks.stacked import stack_shape
from robustbench_zs.networks.table import networks_table
from robustbench_zs.studies.engines.data_on_node import folder_of
from robustbench_zs.studies.plan import EvaluateStep, Plan, ReportStep, Step, TrainStep, TransferStep
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.task import TrainingTask
from robustbench_zs.training.trial import rate

GRADIENT = 3
"""Passes that a step of training counts as: one forward, and two of its size backward, since weights get gradients too."""


@dataclass(frozen=True)
class Speed:
    """A measured speed of training in multiply-adds per second of one core or GPU, and where it was measured."""

    multiply_adds: float
    origin: str


def work(step: Step) -> float:
    """Multiply-adds of a step, at most; 0 for a report."""
    if isinstance(step, TrainStep):
        return training_work(step.task)
    if isinstance(step, EvaluateStep):
        return sum(_examples(step.task, q.split) * q.passes for q in step.questions) * of_one_image(step.task)
    if isinstance(step, TransferStep):
        shown = sum(of_one_image(target) for target in step.targets)
        return _examples(step.task, "test") * (of_one_image(step.task) * Accuracy(step.attack).passes + shown)
    assert isinstance(step, ReportStep)
    return 0.0


def training_work(task: TrainingTask) -> float:
    """Multiply-adds of a whole training."""
    return task.recipe.epochs * epoch_work(task)


def epoch_work(task: TrainingTask) -> float:
    """Multiply-adds of one epoch."""
    return GRADIENT * _examples(task, "train") * of_one_image(task)


def _examples(task: TrainingTask, split: str) -> int:
    known = KNOWN.get(task.dataset)
    if known is None:
        return len(task.load_dataset().split(split))
    return (task.train_examples if split == "train" else task.test_examples) or known.examples[split]


def of_one_image(task: TrainingTask) -> float:
    """Multiply-adds of the network of a task for one image of its dataset, which is only loaded if it is the user's own."""
    if task.dataset == "imagenet":
        side = task.image_size or IMAGENET_SIZE
        return multiply_adds(task.network, (3, side, side), 1000)
    known = KNOWN.get(task.dataset, OTHER)
    if known.shape:
        return multiply_adds(task.network, known.shape, known.classes)
    dataset = task.load_dataset()
    return multiply_adds(task.network, dataset.train.shape, dataset.classes)


def multiply_adds(network: NetworkSpec, shape: tuple[int, ...], classes: int) -> float:
    """Multiply-adds of a network for one C×H×W image, counted once for all networks of a shape."""
    key = (stack_shape(network) or network, shape, classes)
    if key not in _COUNTED:
        _COUNTED[key] = float(networks_table([network], shape[0], shape[1], classes)["multiply_adds"].iloc[0])
    return _COUNTED[key]


_COUNTED: dict[Any, float] = {}


def measured_speed(plans: Sequence[Plan], execution: Execution) -> Speed:
    """From the networks of the plans that are trained already on such a device; without any, from a trial of a few steps."""
    done, seconds = 0.0, 0.0
    steps = [step for plan in plans for step in plan.evaluations]
    for step in steps:
        checkpoint = step.task.existing()
        if checkpoint and str(checkpoint.header.execution.get("device")).startswith(execution.device):
            units = float(checkpoint.header.execution["threads"]) if execution.device == "cpu" else 1.0
            done += len(checkpoint.header.history) * epoch_work(step.task)
            seconds += units * sum(epoch.seconds or 0.0 for epoch in checkpoint.header.history)
    if seconds:
        return Speed(done / seconds, "networks of this study that are trained already")
    task = max((step.task for step in steps), key=training_work)
    if folder_of(task) is None:  # a plan can be looked at before the images are there
        task = replace(task, dataset="digits", train_examples=None, test_examples=None, image_size=None)
    images = rate(task, execution).images_per_second / (execution.threads if execution.device == "cpu" else 1)
    return Speed(GRADIENT * of_one_image(task) * images, f"a trial of {task.network.name} on {task.dataset}")


@dataclass(frozen=True)
class Cost:
    """What plans cost: hours of one core or GPU, those of what is not done yet, and seconds until that is done."""

    hours: float
    undone: float
    unit: str
    seconds: float
    speed: Speed


def estimated(plans: Sequence[Plan], execution: Execution, workers: int) -> Cost:
    """The cost of plans on the device of an execution, at the speed that is measured there.

    A network that is trained counts as done; what is stored of its evaluations is not looked up.
    """
    speed = measured_speed(plans, execution)
    total, jobs = 0.0, []
    for plan in plans:
        for step in plan.evaluations:
            training, evaluating = training_work(step.task), work(step)
            total += training + evaluating
            jobs.append(evaluating + (0.0 if step.task.existing() else training))
        transfers = [work(step) for step in plan.transfers]
        total += sum(transfers)
        jobs += transfers
    seconds = [job / speed.multiply_adds for job in jobs]
    unit = "core" if execution.device == "cpu" else "GPU"
    return Cost(total / speed.multiply_adds / 3600, sum(seconds) / 3600, unit, time_on(workers, seconds), speed)


def time_on(workers: int, jobs: Iterable[float]) -> float:
    """Seconds until jobs of so many seconds are done by workers that each take the next one, in the order of the jobs."""
    ends = [0.0] * workers
    last = 0.0
    for seconds in jobs:
        end = heapq.heappop(ends) + seconds
        last = max(last, end)
        heapq.heappush(ends, end)
    return last
