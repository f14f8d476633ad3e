"""Trains networks and writes checkpoints: the function behind `zsbench train`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from robustbench_zs.datasets.streamed import ImageFiles
from robustbench_zs.errors import RequestError
from robustbench_zs.networks import NetworkSpec, network_from_name
from robustbench_zs.system.environment import environment
from robustbench_zs.system.locks import alone_in
from robustbench_zs.system.memory import enough_memory_or, is_out_of_memory
from robustbench_zs.system.python_numbers import MAX_SEED
from robustbench_zs.system.threads import torch_threads
from robustbench_zs.system.workers import Job, run_jobs
from robustbench_zs.training.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from robustbench_zs.training.distributed import ALONE, Processes, device_of_this_process, processes
from robustbench_zs.training.events import Events, numbered
from robustbench_zs.training.execution import Execution, choose_device, choose_execution
from robustbench_zs.training.graphed import fit_graphed
from robustbench_zs.training.header import FORMAT, DatasetHeader, Header, network_header
from robustbench_zs.training.loop import Epoch, Training, fit
from robustbench_zs.training.recipe import Recipe, recipe_for
from robustbench_zs.training.state import StateFile
from robustbench_zs.training.step import can_compile
from robustbench_zs.training.task import TrainingTask
from robustbench_zs.training.together import fit_together
from robustbench_zs.training.trial import choose_executions, deal

DEFAULT_NETWORKS = ("zerosnet56-opt:widths=8-16-32", "table10-1:depth=56,widths=8-16-32")
"""One zero-stable and one non-zero-stable network, small enough for a laptop: what `zsbench train` trains by default."""

DEFAULT_DIGITS_EXAMPLES = 200
"""Training images of `digits` by default: with all 1,437 every scheme reaches 98% and no difference is left."""

OnProgress = Callable[[TrainingTask, Epoch], None]


def train(
    networks: Iterable[str | NetworkSpec] = DEFAULT_NETWORKS,
    dataset: str = "digits",
    *,
    data_dir: str | Path | None = None,
    train_examples: int | None = None,
    test_examples: int | None = None,
    image_size: int | None = None,
    recipe: Recipe | None = None,
    seeds: Sequence[int] = (0,),
    folder: str | Path = "checkpoints",
    device: str | None = None,
    threads: int | None = None,
    workers: int = 1,
    on_progress: OnProgress | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> list[Checkpoint]:
    """Train each network with each seed and return the checkpoints, in that order; finished ones are not trained again.

    A training that was interrupted goes on from its last written state. In processes that `torchrun` started, each network
    is trained by all of them together; the first returns the checkpoints, the others an empty list.

    Args:
        networks: names such as `"zerosnet56-opt"`, or specifications.
        dataset, data_dir, train_examples, test_examples, image_size: see `load_dataset`; of `digits` 200 training images by
            default.
        recipe: `recipe_for(dataset)` by default.
        folder: where the checkpoints go.
        device: `"cuda"`, `"cpu"`, …; by default CUDA if there is one, else the CPU.
        threads: threads per network on the CPU; by default the cores divided by the networks at a time.
        workers: networks at a time on the CPU, each in a process of its own.
        on_progress: called after each epoch of each network.
        say: gets a sentence on how they are trained, where that is chosen by a trial, and if it has to wait for another
            process that trains into the folder.

    Raises:
        RequestError: a name is unknown, a value is out of range, or the data are missing.
        UnfinishedError: memory or disk ran out.

    Examples:
        >>> short = zs.recipe_from_name("digits").with_changes(epochs=1)
        >>> [checkpoint] = zs.train(["preresnet8:widths=2-2-2"], "digits", train_examples=20, recipe=short)
        >>> checkpoint.path.suffix, checkpoint.header.seed
        ('.safetensors', 0)
    """
    specs = [network_from_name(n) if isinstance(n, str) else n for n in networks]
    device = device_of_this_process(device)
    recipe = (recipe or recipe_for(dataset)).for_device(str(choose_device(device)))
    tasks = [
        TrainingTask(
            network=spec,
            dataset=dataset,
            data_dir=None if data_dir is None else str(data_dir),
            train_examples=DEFAULT_DIGITS_EXAMPLES if train_examples is None and dataset == "digits" else train_examples,
            test_examples=test_examples,
            recipe=recipe,
            seed=checked_seed(seed),
            folder=str(folder),
            image_size=image_size,
        )
        for spec in specs
        for seed in seeds
    ]
    if not tasks:
        raise RequestError("there is nothing to train: give at least one network and one seed")
    with processes(device) as group, ExitStack() as stack:
        if group.first and any(task.existing() is None for task in tasks):
            stack.enter_context(alone_in(Path(tasks[0].folder), say))
        missing = list({task.path: task for task in tasks if task.existing() is None}.values())
        missing = group.agreed(missing)  # the others may have no disk in common with the first
        execution = choose_execution(len(missing), device, threads, workers, group.size)
        told = Events(epoch=on_progress or (lambda task, epoch: None), say=say)
        train_all(missing, execution, workers, group, told)
        if group.first:
            remove_states(tasks)
    return [read_checkpoint(task.path) for task in tasks] if group.first else []


def remove_states(tasks: Iterable[TrainingTask]) -> None:
    """Remove what is left of trainings that are done: one that was killed at its very end leaves its state."""
    for task in tasks:
        task.state_path.unlink(missing_ok=True)


def train_all(
    tasks: Sequence[TrainingTask],
    execution: Execution,
    workers: int,
    group: Processes,
    events: Events,
) -> None:
    """Train the networks, several at a time on a CPU; with other processes, each network together with them."""
    if group.size > 1:
        for task in tasks:
            send = partial(events.epoch, task) if group.first else lambda epoch: None
            with torch_threads(execution.threads), enough_memory_or(_too_large(task)):
                _train_alone(task, execution, send, group)
        return
    workers = workers if execution.device == "cpu" else 1
    dealt = deal(tasks, choose_executions(tasks, execution, workers, events.say), workers)
    jobs = [Job(train_some, ([tasks[i] for i in indices], chosen)) for indices, chosen in dealt]
    for _ in run_jobs(jobs, workers, lambda index, event: events.epoch(tasks[dealt[index][0][event[0]]], event[1])):
        pass


def checked_seed(seed: int) -> int:
    """The seed; a `RequestError` if it is not between 0 and 2^63 − 1."""
    if not 0 <= seed <= MAX_SEED:
        raise RequestError(f"a seed must lie between 0 and {MAX_SEED}, not {seed}")
    return int(seed)


def train_some(
    tasks: Sequence[TrainingTask], execution: Execution, send: Callable[[tuple[int, Epoch]], None]
) -> list[Checkpoint]:
    """Train networks that are alike, in stacks where `execution` has places for several, and write their checkpoints.

    Args:
        send: gets the place of a network in `tasks` with every epoch of it.
    """
    begun = _state_file(tasks[0], execution).read()
    if begun and begun.header.execution.get("device") == execution.device:
        # The same choice gives the same weights, bit for bit, as if there had been no interruption.
        execution = Execution(**begun.header.execution)  # type: ignore[arg-type]
        if execution.compiled and not can_compile(execution.device):  # begun on another machine
            execution = replace(execution, compiled=False)
    with torch_threads(execution.threads), enough_memory_or(_too_large(tasks[0])):
        while execution.at_a_time > 1:
            try:
                _train_together(tasks, execution, send)
                return [read_checkpoint(task.path) for task in tasks]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # What was trained so far is in the states and checkpoints; the trial was made while there was more memory.
            execution = replace(execution, places=-(-execution.places // 2), streams=-(-execution.streams // 2))
        return [task.existing() or _train_alone(task, execution, numbered(send, i)) for i, task in enumerate(tasks)]


def _train_together(tasks: Sequence[TrainingTask], execution: Execution, send: Callable[[tuple[int, Epoch]], None]) -> None:
    """In stacks, or each on a stream of its own."""
    dataset, device = tasks[0].load_dataset(), torch.device(execution.device)
    # Interrupted trainings may have got to different epochs; in stacks those that are at the same one go on together.
    at_epoch: dict[int, list[tuple[TrainingTask, Training]]] = {}
    for index, task in enumerate(tasks):
        if task.existing():
            continue
        training = _training(task, execution, numbered(send, index))
        training.resume(_state_file(task, execution).read())
        at_epoch.setdefault(len(training.history) if execution.places > 1 else 0, []).append((task, training))
    for members in at_epoch.values():
        for start in range(0, len(members), execution.at_a_time):
            trainings = [training for _, training in members[start : start + execution.at_a_time]]
            if execution.places > 1:
                fit_together(trainings, execution.places, dataset.test, device)
            else:
                fit_graphed(trainings, dataset.test)
            for task, training in members[start : start + execution.at_a_time]:
                _finished(task, execution, training.network, training.finish())


def _train_alone(
    task: TrainingTask, execution: Execution, send: Callable[[Epoch], None], group: Processes = ALONE
) -> Checkpoint:
    training = _training(task, execution, send, group)
    history = fit(training, task.load_dataset().test, group, execution.compiled)
    return _finished(task, execution, training.network, history, write=group.first)


def _training(
    task: TrainingTask, execution: Execution, on_epoch: Callable[[Epoch], None], group: Processes = ALONE
) -> Training:
    data, state = task.load_dataset().train, _state_file(task, execution) if group.first else None
    return Training(task.network_to_train(execution), data, task.recipe, task.seed, on_epoch, state, execution.loaders)


def _too_large(task: TrainingTask) -> str:
    return f"{task.network.name} does not fit in memory: use a smaller batch or network"


def _state_file(task: TrainingTask, execution: Execution) -> StateFile:
    return StateFile(task.state_path, task.key, asdict(execution))


def _finished(
    task: TrainingTask, execution: Execution, network: nn.Module, history: Sequence[Epoch], write: bool = True
) -> Checkpoint:
    """The checkpoint of a trained network, written where this process is the one that does."""
    dataset = task.load_dataset()
    header = Header(
        format=FORMAT,
        network=network_header(task.network, dataset.train.shape[0], dataset.classes),
        dataset=DatasetHeader(
            name=dataset.name,
            train_digest=dataset.train.digest,
            train_examples=len(dataset.train),
            image_size=dataset.train.shape[1:],
            resized=isinstance(dataset.train, ImageFiles),
        ),
        recipe=task.recipe.as_dict(),
        seed=task.seed,
        training_key=task.key,
        execution=asdict(execution),
        history=[epoch.header() for epoch in history],
        diverged_at=next((epoch.epoch for epoch in history if epoch.diverged), None),
        environment=environment(),
    )
    if not write:
        return Checkpoint(task.path, header)
    checkpoint = save_checkpoint(task.path, network, header)
    _state_file(task, execution).remove()
    return checkpoint
