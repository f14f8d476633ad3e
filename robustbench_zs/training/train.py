"""Train networks to checkpoints: the function behind `zsbench train`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from robustbench_zs.datasets import Dataset, load_dataset
from robustbench_zs.datasets.streamed import ImageFiles
from robustbench_zs.environment import environment
from robustbench_zs.errors import RequestError
from robustbench_zs.files import canonical_json
from robustbench_zs.locks import alone_in
from robustbench_zs.memory import enough_memory_or, is_out_of_memory, keep_freed_memory
from robustbench_zs.networks import NetworkSpec, network_from_name
from robustbench_zs.networks.build import Network, build_network
from robustbench_zs.networks.spec import block_moduli
from robustbench_zs.networks.stacked import stack_shape
from robustbench_zs.schemes.table import scheme_columns
from robustbench_zs.training.checkpoint import (
    FORMAT,
    Checkpoint,
    DatasetHeader,
    Header,
    description,
    network_header,
    read_checkpoint,
    save_checkpoint,
)
from robustbench_zs.training.distributed import ALONE, Processes, device_of_this_process, processes
from robustbench_zs.training.loop import Epoch, Training, can_compile, fit
from robustbench_zs.training.recipe import Recipe, recipe_for
from robustbench_zs.training.state import StateFile
from robustbench_zs.training.streams import stream
from robustbench_zs.training.together import fit_together
from robustbench_zs.training.trial import choose_executions
from robustbench_zs.workers import Job, available_cores, run_jobs

if TYPE_CHECKING:
    import pandas as pd

TRAINING_VERSION = 1
"""Raised when a change of the code changes the weights that a recipe and a seed give."""

DEFAULT_NETWORKS = ("zerosnet56-opt:widths=8-16-32", "table10-1:depth=56,widths=8-16-32")
"""One zero-stable and one non-zero-stable network, small enough for a laptop: what `zsbench train` trains by default."""

DEFAULT_DIGITS_EXAMPLES = 200
"""Training images of `digits` by default: with all 1,437 every scheme reaches 98% and no difference is left."""

LARGEST_SEED = 2**63 - 1
MOST_LOADERS = 16
"""Worker processes that decode images from files, a network."""


@dataclass(frozen=True)
class Execution:
    """How the training runs on a machine; decides the time and the rounding, not what is trained.

    On a CPU the same execution choice gives the same weights, bit for bit. `compiled` is whether steps run compiled code,
    `places` of how many networks a stack consists (see `together`), `processes` how many train one network together.
    """

    device: str
    threads: int
    layout: str = "channels_last"
    processes: int = 1
    compiled: bool = False
    places: int = 1

    @property
    def loaders(self) -> int:
        """Worker processes that decode images from files, a network."""
        return 0 if self.device == "cpu" else min(MOST_LOADERS, self.threads)


@dataclass(frozen=True)
class TrainingTask:
    """One network to train: everything that decides its weights, and where they go."""

    network: NetworkSpec
    dataset: str
    data_dir: str | None
    train_examples: int | None
    test_examples: int | None
    recipe: Recipe
    seed: int
    folder: str
    image_size: int | None = None

    def load_dataset(self) -> Dataset:
        return load_dataset(self.dataset, self.data_dir, self.train_examples, self.test_examples, self.image_size)

    def network_to_train(self, execution: Execution) -> Network:
        """The network with the weights that the seed draws, on the CPU, in the layout of `execution`."""
        dataset = self.load_dataset()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.set_state(stream(self.seed, "weights").get_state())
            network = build_network(
                self.network, dataset.train.shape[0], dataset.classes, *dataset.train.channel_statistics()
            )
        return network.to(memory_format=getattr(torch, execution.layout))

    @property
    def key(self) -> str:
        """SHA-256 of what decides the weights: network, training images, recipe, seed and training version."""
        dataset = self.load_dataset()
        what = {
            "version": TRAINING_VERSION,
            "network": description(network_header(self.network, dataset.train.shape[0], dataset.classes)),
            "train_digest": dataset.train.digest,
            "recipe": self.recipe.as_dict(),
            "seed": self.seed,
        }
        return hashlib.sha256(canonical_json(what).encode()).hexdigest()

    @property
    def path(self) -> Path:
        """The checkpoint's file; part of the key is in its name, so another recipe never overwrites it."""
        stem = re.sub(r"[^A-Za-z0-9.+-]+", "_", self.network.name)[:100]
        return Path(self.folder) / f"{stem}-seed{self.seed}-{self.key[:8]}.safetensors"

    @property
    def state_path(self) -> Path:
        """The file that holds the state of the training until it is done."""
        return self.path.with_suffix(".state.safetensors")

    def existing(self) -> Checkpoint | None:
        """The finished checkpoint of this task, if there is one.

        Raises:
            RequestError: the file is there but damaged.
        """
        if not self.path.exists():
            return None
        checkpoint = read_checkpoint(self.path)
        return checkpoint if checkpoint.header.training_key == self.key else None


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
        threads: threads a network on the CPU; by default the cores divided by the networks at a time.
        workers: networks at a time on the CPU, each in a process of its own.
        on_progress: called after each epoch of each network.
        say: gets a sentence on how they are trained, where that is chosen by a trial, and if it has to wait for another
            process that trains into the folder.

    Raises:
        RequestError: unknown names, values out of range, data that are not there.
        UnfinishedError: out of memory or disk.
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
            stack.enter_context(alone_in(Path(folder), say))
        missing = list({task.path: task for task in tasks if task.existing() is None}.values())
        missing = group.agreed(missing)  # the others may have no disk in common with the first
        execution = choose_execution(len(missing), device, threads, workers, group.size)
        train_all(missing, execution, workers, group, on_progress or (lambda task, epoch: None), say)
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
    on_progress: OnProgress,
    say: Callable[[str], None] = lambda words: None,
) -> None:
    """Train the networks, several at a time on a CPU; with other processes, each network together with them.

    Args:
        say: gets a sentence on how they are trained, where that is chosen by a trial.
    """
    if group.size > 1:
        for task in tasks:
            train_one(task, execution, partial(on_progress, task) if group.first else lambda epoch: None, group)
        return
    workers = workers if execution.device == "cpu" else 1
    dealt = deal(tasks, choose_executions(tasks, execution, workers, say), workers)
    jobs = [Job(train_some, ([tasks[i] for i in indices], chosen)) for indices, chosen in dealt]
    for _ in run_jobs(jobs, workers, lambda index, event: on_progress(tasks[dealt[index][0][event[0]]], event[1])):
        pass


def deal(tasks: Sequence[TrainingTask], executions: Sequence[Execution], workers: int) -> list[tuple[list[int], Execution]]:
    """Which networks (by index) are trained by one job, and how: stacks as full as leaves no worker idle."""
    alike: dict[Any, list[int]] = {}
    for index, (task, execution) in enumerate(zip(tasks, executions, strict=True)):
        alone = index if execution.places == 1 else None
        alike.setdefault((alone, execution, stack_shape(task.network), task.recipe, task.train_examples), []).append(index)
    dealt = []
    for (_, execution, *_rest), indices in alike.items():
        stacks = max(-(-len(indices) // execution.places), min(workers, len(indices)))
        each, more = divmod(len(indices), stacks)
        start = 0
        for number in range(stacks):
            end = start + each + (number < more)
            dealt.append((indices[start:end], execution))
            start = end
    return dealt


def checked_seed(seed: int) -> int:
    """Raises: RequestError: the seed is not between 0 and 2^63 − 1."""
    if not 0 <= seed <= LARGEST_SEED:
        raise RequestError(f"a seed lies between 0 and {LARGEST_SEED}, not {seed}")
    return int(seed)


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
        raise RequestError(f"the device {device[:40]!r} is not available here: try --device cpu") from error
    return chosen


def choose_execution(networks: int, device: str | None, threads: int | None, workers: int, processes: int = 1) -> Execution:
    """Device and threads a network; several networks or processes on a CPU share its cores."""
    if threads is not None and not 1 <= threads <= 1024:
        raise RequestError(f"the number of threads must lie between 1 and 1024, not {threads}")
    chosen = choose_device(device)
    at_a_time = processes if processes > 1 else max(1, min(workers, networks)) if chosen.type == "cpu" else 1
    return Execution(str(chosen), int(threads or max(1, available_cores() // at_a_time)), processes=processes)


def train_one(
    task: TrainingTask, execution: Execution, send: Callable[[Epoch], None], group: Processes = ALONE
) -> Checkpoint:
    """Train one network, going on where an interrupted training of it stood, and write its checkpoint.

    Args:
        send: gets every epoch.
        group: the processes that train it together; the first writes the checkpoint.
    """
    if group.size == 1:
        (checkpoint,) = train_some([task], execution, lambda event: send(event[1]))
        return checkpoint
    with _threads(execution.threads):
        dataset, network = task.load_dataset(), task.network_to_train(execution)
        with enough_memory_or(_too_large(task)):
            history = fit(
                network,
                dataset.train,
                dataset.test,
                task.recipe,
                task.seed,
                torch.device(execution.device),
                send,
                group=group,
                state=_state_file(task, execution),
                loaders=execution.loaders,
            )
        return _finished(task, execution, network, history, write=group.first)


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
    with _threads(execution.threads), enough_memory_or(_too_large(tasks[0])):
        while execution.places > 1:
            try:
                _train_in_stacks(tasks, execution, send)
                return [read_checkpoint(task.path) for task in tasks]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # What was trained so far is in the states and checkpoints; the trial was made while there was more memory.
            execution = replace(execution, places=execution.places // 2)
        return [task.existing() or _train_alone(task, execution, partial(_send, send, i)) for i, task in enumerate(tasks)]


def _train_in_stacks(tasks: Sequence[TrainingTask], execution: Execution, send: Callable[[tuple[int, Epoch]], None]) -> None:
    dataset, device = tasks[0].load_dataset(), torch.device(execution.device)
    # Interrupted trainings may have got to different epochs; those that are at the same one go on together.
    at_epoch: dict[int, list[tuple[TrainingTask, Training]]] = {}
    for index, task in enumerate(tasks):
        if task.existing():
            continue
        state = _state_file(task, execution)
        training = Training(
            task.network_to_train(execution),
            dataset.train,
            task.recipe,
            task.seed,
            device,
            partial(_send, send, index),
            state,
        )
        training.resume(state.read())
        at_epoch.setdefault(len(training.history), []).append((task, training))
    for members in at_epoch.values():
        for start in range(0, len(members), execution.places):
            trainings = [training for _, training in members[start : start + execution.places]]
            fit_together(trainings, execution.places, dataset.test, device)
            for task, training in members[start : start + execution.places]:
                _finished(task, execution, training.network, training.finish())


def _send(send: Callable[[tuple[int, Epoch]], None], index: int, epoch: Epoch) -> None:
    send((index, epoch))


def _train_alone(task: TrainingTask, execution: Execution, send: Callable[[Epoch], None]) -> Checkpoint:
    dataset, network = task.load_dataset(), task.network_to_train(execution)
    history = fit(
        network,
        dataset.train,
        dataset.test,
        task.recipe,
        task.seed,
        torch.device(execution.device),
        send,
        state=_state_file(task, execution),
        loaders=execution.loaders,
        compiled=execution.compiled,
    )
    return _finished(task, execution, network, history)


def _too_large(task: TrainingTask) -> str:
    return f"{task.network.name} does not fit in memory: use a smaller batch or network"


def _state_file(task: TrainingTask, execution: Execution) -> StateFile:
    return StateFile(task.state_path, task.key, asdict(execution))


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


def training_table(checkpoints: Sequence[Checkpoint]) -> pd.DataFrame:
    """One row a checkpoint: what it is, moduli and verdict of its scheme, last loss and accuracies (percent), time (s)."""
    import pandas as pd

    rows = []
    for checkpoint in checkpoints:
        header, spec = checkpoint.header, checkpoint.spec
        last, best = header.history[-1], header.best
        rows.append(
            {
                "schema_version": 1,
                "checkpoint": str(checkpoint.path),
                "digest": checkpoint.digest,
                "network": header.network.name,
                "scheme": spec.scheme_name,
                **scheme_columns(spec.fixed_scheme),
                "block_moduli": block_moduli(spec, header.history[-1].block_parameters),
                "dataset": header.dataset.name,
                "train_examples": header.dataset.train_examples,
                "seed": header.seed,
                "epochs": last.epoch,
                "diverged_at": header.diverged_at,
                "loss": last.loss,
                "train_accuracy": last.train_accuracy,
                "test_accuracy": last.test_accuracy,
                "best_test_accuracy": best.test_accuracy if best else None,
                "best_epoch": best.epoch if best else None,
                "seconds": header.seconds,
            }
        )
    return pd.DataFrame(rows)
