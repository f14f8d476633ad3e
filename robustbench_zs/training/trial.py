"""Finds the fastest way of training networks on this machine by a short trial, whose choice is stored and reused."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, TypeAdapter, ValidationError

from robustbench_zs.errors import RequestError
from robustbench_zs.networks.stacked import stack_shape
from robustbench_zs.system.files import canonical_json, write_atomically
from robustbench_zs.system.memory import is_out_of_memory
from robustbench_zs.system.threads import torch_threads
from robustbench_zs.training.distributed import ALONE
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.graphed import WARM_UP, GraphedTraining, kernels_by_trial
from robustbench_zs.training.header import Part
from robustbench_zs.training.loop import Training
from robustbench_zs.training.step import Step, can_compile
from robustbench_zs.training.task import TrainingTask
from robustbench_zs.training.together import Stack

CHOICES = "execution.json"
"""Beside the checkpoints: what was chosen for networks of each shape."""

SHORT, LONG = 20.0, 900.0
"""Seconds that all trainings of a shape take eagerly, one by one: below the first nothing is tried, below the second nothing
is compiled, since that alone takes a minute or more."""

MAX_PLACES = 10
"""Networks in a stack; beyond that there is little left to save."""

MAX_STREAMS = 14
"""Networks side by side on a GPU: as many kept one core busy with starting graphs, and an H100 with their steps."""

WORTH_IT = 1.15
"""How much faster a stack must be in the trial, which is short and therefore coarse."""

STEPS, GRAPHED_STEPS = 4, 20


class Choice(Part):
    """What an execution choice has beside device, threads and layout."""

    compiled: bool = False
    places: int = Field(default=1, ge=1, le=1000)
    streams: int = Field(default=1, ge=1, le=1000)


_CHOICES = TypeAdapter(dict[str, Choice])


@dataclass(frozen=True)
class Rate:
    """Images per second, and seconds before the first step was done."""

    images_per_second: float
    start: float


def choose_executions(
    tasks: Sequence[TrainingTask], execution: Execution, at_a_time: int, say: Callable[[str], None]
) -> list[Execution]:
    """How each network is trained: alone, compiled or in a stack, by a trial for each shape unless that was made before.

    Args:
        execution: device, threads and layout.
        at_a_time: how many jobs run side by side.
        say: gets a sentence for each choice that a trial makes.
    """
    groups: dict[str, list[TrainingTask]] = {}
    for task in tasks:
        groups.setdefault(_shape(task, execution), []).append(task)
    chosen = {shape: _choose(shape, group, execution, at_a_time, say) for shape, group in groups.items()}
    return [replace(execution, **chosen[_shape(task, execution)].model_dump()) for task in tasks]


def _shape(task: TrainingTask, execution: Execution) -> str:
    """What the speed of a step depends on."""
    network, recipe = task.network, task.recipe
    shape = stack_shape(network)
    scheme = shape[:-1] if shape else (network.scheme_name, network.depth, network.block, network.widths, network.form)
    step = (recipe.batch_size, recipe.precision, recipe.replicas, task.dataset, task.image_size)
    # Choices that were written down before there were other projections stay known.
    projection = [] if network.projection == "convolution" else [network.projection]
    return canonical_json([*scheme, *step, *projection, execution.device, execution.threads, execution.layout])


def _choose(
    shape: str, tasks: Sequence[TrainingTask], execution: Execution, at_a_time: int, say: Callable[[str], None]
) -> Choice:
    path = Path(tasks[0].folder) / CHOICES
    known = _known(path).get(shape)
    if known is not None and (not known.compiled or can_compile(execution.device)):  # it may come from another machine
        return known
    if tasks[0].recipe.replicas > 1 or tasks[0].image_size is not None or execution.processes > 1:
        return Choice()
    choice = _try(tasks, execution, at_a_time, say)
    if choice is None:
        return Choice()
    write_atomically(path, _CHOICES.dump_json(_known(path) | {shape: choice}, indent=1) + b"\n")
    return choice


def _known(path: Path) -> dict[str, Choice]:
    try:
        return _CHOICES.validate_json(path.read_bytes()) if path.is_file() else {}
    except (OSError, ValidationError) as error:
        raise RequestError(f"{path} is damaged: delete it, and the fastest way of training is determined again") from error


def _try(tasks: Sequence[TrainingTask], execution: Execution, at_a_time: int, say: Callable[[str], None]) -> Choice | None:
    """The faster choice; None where there is too little to do for it to matter."""
    task = tasks[0]
    examples = len(task.load_dataset().train)
    eager = rate(task, execution)
    images = sum(t.recipe.epochs for t in tasks) * examples
    seconds = images / eager.images_per_second
    if seconds < SHORT:
        return None
    name = f"{len(tasks)} networks of {task.network.depth} layers on {task.dataset}"
    if execution.device.startswith("cuda"):
        return _on_a_gpu(task, execution, eager, name, say)
    stack = _largest_stack(task, execution, min(MAX_PLACES, -(-len(tasks) // at_a_time)))
    if stack is not None and stack[1].images_per_second > WORTH_IT * eager.images_per_second:
        say(
            f"{name}: trained in stacks of {stack[0]}, {stack[1].images_per_second:.0f} images/s per process against "
            f"{eager.images_per_second:.0f} one by one"
        )
        return Choice(places=stack[0])
    if seconds < LONG:
        return Choice()
    if not can_compile(execution.device):
        say(f"{name}: trained with eager code, since there is no C++ compiler")
        return Choice()
    try:
        fast = rate(task, replace(execution, compiled=True))
    except Exception as error:  # whatever a compiler may say, training goes on without it
        say(f"{name}: trained with eager code, since compiling failed ({type(error).__name__})")
        return Choice()
    # Each process compiles once for all networks of the shape.
    compiled = images / fast.images_per_second + fast.start * at_a_time
    say(
        f"{name}: trained with {'compiled' if compiled < seconds else 'eager'} code, {fast.images_per_second:.0f} images/s "
        f"per process compiled ({fast.start:.0f} s to compile) against {eager.images_per_second:.0f} eager"
    )
    return Choice(compiled=compiled < seconds)


def _on_a_gpu(task: TrainingTask, execution: Execution, eager: Rate, name: str, say: Callable[[str], None]) -> Choice:
    if len(task.load_dataset().train) < task.recipe.batch_size:  # there is no whole step to record
        return Choice()
    graphs = rate(task, replace(execution, streams=2))
    if graphs.images_per_second <= WORTH_IT * eager.images_per_second:
        return Choice()
    say(
        f"{name}: trained side by side by CUDA graphs, {graphs.images_per_second:.0f} images/s in a trial of two against "
        f"{eager.images_per_second:.0f} one by one"
    )
    return Choice(streams=MAX_STREAMS)


def _largest_stack(task: TrainingTask, execution: Execution, places: int) -> tuple[int, Rate] | None:
    """The largest stack that fits in memory, half as large each time it does not, and its speed; None for none."""
    if stack_shape(task.network) is None:
        return None
    while places > 1:
        try:
            return places, rate(task, replace(execution, places=places))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            places //= 2
    return None


def deal(tasks: Sequence[TrainingTask], executions: Sequence[Execution], workers: int) -> list[tuple[list[int], Execution]]:
    """Which networks (by index) are trained by one job, and how: stacks as full as leaves no worker idle."""
    alike: dict[Any, list[int]] = {}
    for index, (task, execution) in enumerate(zip(tasks, executions, strict=True)):
        apart = index if execution.at_a_time == 1 else stack_shape(task.network) if execution.places > 1 else None
        alike.setdefault((execution, apart, task.recipe, task.train_examples), []).append(index)
    dealt = []
    for (execution, *_rest), indices in alike.items():
        stacks = max(-(-len(indices) // execution.at_a_time), min(workers, len(indices)))
        each, more = divmod(len(indices), stacks)
        start = 0
        for number in range(stacks):
            end = start + each + (number < more)
            dealt.append((indices[start:end], execution))
            start = end
    return dealt


def rate(task: TrainingTask, execution: Execution) -> Rate:
    """The speed of a few steps of a training, in this process; nothing of it is kept."""
    with torch_threads(execution.threads):
        if execution.streams > 1:
            return _rate_of_graphs(task, execution)
        data = task.load_dataset().train
        training = Training(task.network_to_train(execution), data, task.recipe, task.seed)
        batch = torch.arange(min(task.recipe.batch_size, len(data)))
        ((images, labels),) = next(training.feed.shares(0, [batch], 1, range(1)))
        times = [time.perf_counter()]
        if execution.places > 1:
            stack = Stack([training], execution.places)
            images = images.repeat(1, execution.places, 1, 1).contiguous(memory_format=torch.channels_last)
            labels = labels.expand(execution.places, -1)
        else:
            step = Step(training.network, training.optimizer, task.recipe, ALONE, execution.compiled)
        for _ in range(STEPS + 1):
            sums = stack.step(images, labels) if execution.places > 1 else step([(images, labels)], len(batch))
            sums.sum().item()  # waits for the device
            times.append(time.perf_counter())
        best = min(b - a for a, b in pairwise(times[1:]))
        return Rate(execution.places * len(batch) / best, times[1] - times[0])


def _rate_of_graphs(task: TrainingTask, execution: Execution) -> Rate:
    """As `rate`, of as many equal networks as there are streams."""
    data = task.load_dataset().train
    start = time.perf_counter()
    trainings = [
        GraphedTraining(Training(task.network_to_train(execution), data, task.recipe, task.seed))
        for _ in range(execution.streams)
    ]
    with kernels_by_trial():
        for count in range(WARM_UP + 1 + GRAPHED_STEPS):
            number = count % trainings[0].whole_steps
            for training in trainings:
                if number == 0:
                    training.begin()
                training.take(number)
            if count == WARM_UP:
                torch.cuda.synchronize(execution.device)
                recorded = time.perf_counter()
    torch.cuda.synchronize(execution.device)
    images = execution.streams * task.recipe.batch_size * GRAPHED_STEPS
    return Rate(images / (time.perf_counter() - recorded), recorded - start)


def merge_choices(path: Path, content: bytes) -> None:
    """Add the choices that another machine wrote down to those in `path`, which stay where both know a shape.

    Raises:
        RequestError: one of the two is damaged.
    """
    try:
        others = _CHOICES.validate_json(content)
    except ValidationError as error:
        raise RequestError("the results of a node's trial of how to train are damaged") from error
    write_atomically(path, _CHOICES.dump_json(others | _known(path), indent=1) + b"\n")
