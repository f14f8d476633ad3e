"""Train networks to checkpoints: the function behind `zsbench train`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from robustbench_zs.datasets import Dataset, load_dataset
from robustbench_zs.datasets.streamed import ImageFiles
from robustbench_zs.environment import environment
from robustbench_zs.errors import RequestError, UnfinishedError
from robustbench_zs.files import canonical_json
from robustbench_zs.networks import NetworkSpec, network_from_name
from robustbench_zs.networks.build import build_network
from robustbench_zs.networks.spec import block_moduli
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
from robustbench_zs.training.loop import Epoch, fit
from robustbench_zs.training.recipe import Recipe, recipe_for
from robustbench_zs.training.state import StateFile
from robustbench_zs.training.streams import stream
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

    On a CPU the same execution choice gives the same weights, bit for bit.
    """

    device: str
    threads: int
    layout: str = "channels_last"
    processes: int = 1


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

    Raises:
        RequestError: unknown names, values out of range, data that are not there.
        UnfinishedError: out of memory or disk.
    """
    specs = [network_from_name(n) if isinstance(n, str) else n for n in networks]
    tasks = [
        TrainingTask(
            network=spec,
            dataset=dataset,
            data_dir=None if data_dir is None else str(data_dir),
            train_examples=DEFAULT_DIGITS_EXAMPLES if train_examples is None and dataset == "digits" else train_examples,
            test_examples=test_examples,
            recipe=recipe or recipe_for(dataset),
            seed=checked_seed(seed),
            folder=str(folder),
            image_size=image_size,
        )
        for spec in specs
        for seed in seeds
    ]
    if not tasks:
        raise RequestError("there is nothing to train: give at least one network and one seed")
    with processes(device := device_of_this_process(device)) as group:
        missing = list({task.path: task for task in tasks if task.existing() is None}.values())
        missing = group.agreed(missing)  # the others may have no disk in common with the first
        execution = choose_execution(len(missing), device, threads, workers, group.size)
        train_all(missing, execution, workers, group, on_progress or (lambda task, epoch: None))
    return [read_checkpoint(task.path) for task in tasks] if group.first else []


def train_all(
    tasks: Sequence[TrainingTask], execution: Execution, workers: int, group: Processes, on_progress: OnProgress
) -> None:
    """Train the networks, several at a time on a CPU; with other processes, each network together with them."""
    if group.size > 1:
        for task in tasks:
            train_one(task, execution, partial(on_progress, task) if group.first else lambda epoch: None, group)
        return
    jobs = [Job(train_one, (task, execution)) for task in tasks]
    workers = workers if execution.device == "cpu" else 1
    for _ in run_jobs(jobs, workers, lambda index, epoch: on_progress(tasks[index], epoch)):
        pass


def checked_seed(seed: int) -> int:
    """Raises: RequestError: the seed is not between 0 and 2^63 − 1."""
    if not 0 <= seed <= LARGEST_SEED:
        raise RequestError(f"a seed lies between 0 and {LARGEST_SEED}, not {seed}")
    return seed


def choose_device(device: str | None) -> torch.device:
    """The named device, else CUDA if there is one, else the CPU.

    Raises:
        RequestError: torch knows no such device, or it is not there.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    # torch raises each of these for a device it lacks: an unknown name, no driver, a backend that it was not built with
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise RequestError(f"the device {device[:40]!r} is not available here: try --device cpu") from error
    return chosen


def choose_execution(networks: int, device: str | None, threads: int | None, workers: int, processes: int = 1) -> Execution:
    """Device and threads a network; several networks or processes on a CPU share its cores."""
    if threads is not None and not 1 <= threads <= 1024:
        raise RequestError(f"the number of threads must lie between 1 and 1024, not {threads}")
    chosen = choose_device(device)
    at_a_time = processes if processes > 1 else max(1, min(workers, networks)) if chosen.type == "cpu" else 1
    return Execution(str(chosen), threads or max(1, available_cores() // at_a_time), processes=processes)


def train_one(
    task: TrainingTask, execution: Execution, send: Callable[[Epoch], None], group: Processes = ALONE
) -> Checkpoint:
    """Train one network, going on where an interrupted training of it stood, and write its checkpoint.

    Args:
        send: gets every epoch.
        group: the processes that train it together; the first writes the checkpoint.
    """
    threads_before = torch.get_num_threads()
    state = StateFile(task.path.with_suffix(".state.safetensors"), task.key, asdict(execution))
    if group.size == 1 and (begun := state.read()) and begun.header.execution.get("device") == execution.device:
        # The same choice gives the same weights, bit for bit, as if there had been no interruption.
        execution = Execution(**begun.header.execution)  # type: ignore[arg-type]
    torch.set_num_threads(execution.threads)
    try:
        return _train_one(task, execution, send, group, state)
    finally:
        torch.set_num_threads(threads_before)


def _train_one(
    task: TrainingTask, execution: Execution, send: Callable[[Epoch], None], group: Processes, state: StateFile
) -> Checkpoint:
    dataset = task.load_dataset()
    channels = dataset.train.shape[0]
    mean, std = dataset.train.channel_statistics()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.set_state(stream(task.seed, "weights").get_state())
        network = build_network(task.network, channels, dataset.classes, mean, std)
    network.to(memory_format=getattr(torch, execution.layout))
    device = torch.device(execution.device)
    loaders = 0 if device.type == "cpu" else min(MOST_LOADERS, execution.threads)
    try:
        history = fit(
            network,
            dataset.train,
            dataset.test,
            task.recipe,
            task.seed,
            device,
            send,
            group=group,
            state=state,
            loaders=loaders,
        )
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise UnfinishedError(f"{task.network.name} does not fit in memory: use a smaller batch or network") from error
    header = Header(
        format=FORMAT,
        network=network_header(task.network, channels, dataset.classes),
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
    if not group.first:
        return Checkpoint(task.path, header)
    checkpoint = save_checkpoint(task.path, network, header)
    state.remove()
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
