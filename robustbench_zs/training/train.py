"""Train networks to checkpoints: the function behind `zsbench train`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from robustbench_zs.datasets import Dataset, load_dataset
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
    EpochHeader,
    Header,
    description,
    finite,
    network_header,
    read_checkpoint,
    save_checkpoint,
)
from robustbench_zs.training.loop import Epoch, fit, stream
from robustbench_zs.training.recipe import Recipe, recipe_for
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


@dataclass(frozen=True)
class Execution:
    """How the training runs on a machine; decides the time and the rounding, not what is trained.

    On a CPU the same execution choice gives the same weights, bit for bit.
    """

    device: str
    threads: int
    layout: str = "channels_last"


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

    def load_dataset(self) -> Dataset:
        return load_dataset(self.dataset, self.data_dir, self.train_examples, self.test_examples)

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
    recipe: Recipe | None = None,
    seeds: Sequence[int] = (0,),
    folder: str | Path = "checkpoints",
    device: str | None = None,
    threads: int | None = None,
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> list[Checkpoint]:
    """Train each network with each seed and return the checkpoints, in that order; finished ones are not trained again.

    Args:
        networks: names such as `"zerosnet56-opt"`, or specifications.
        dataset, data_dir, train_examples, test_examples: see `load_dataset`; of `digits` 200 training images by default.
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
        )
        for spec in specs
        for seed in seeds
    ]
    if not tasks:
        raise RequestError("there is nothing to train: give at least one network and one seed")
    missing = list({task.path: task for task in tasks if task.existing() is None}.values())
    execution = choose_execution(len(missing), device, threads, workers)
    jobs = [Job(train_one, (task, execution)) for task in missing]
    workers = workers if execution.device == "cpu" else 1
    for _ in run_jobs(jobs, workers, lambda index, epoch: on_progress and on_progress(missing[index], epoch)):
        pass
    return [read_checkpoint(task.path) for task in tasks]


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


def choose_execution(networks: int, device: str | None, threads: int | None, workers: int) -> Execution:
    """Device and threads a network; several networks on a CPU share its cores."""
    if threads is not None and not 1 <= threads <= 1024:
        raise RequestError(f"the number of threads must lie between 1 and 1024, not {threads}")
    chosen = choose_device(device)
    at_a_time = max(1, min(workers, networks)) if chosen.type == "cpu" else 1
    return Execution(str(chosen), threads or max(1, available_cores() // at_a_time))


def train_one(task: TrainingTask, execution: Execution, send: Callable[[Epoch], None]) -> Checkpoint:
    """Train one network and write its checkpoint; `send` gets every epoch."""
    threads_before = torch.get_num_threads()
    torch.set_num_threads(execution.threads)
    try:
        return _train_one(task, execution, send)
    finally:
        torch.set_num_threads(threads_before)


def _train_one(task: TrainingTask, execution: Execution, send: Callable[[Epoch], None]) -> Checkpoint:
    dataset = task.load_dataset()
    channels = dataset.train.shape[0]
    mean, std = dataset.train.channel_statistics()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.set_state(stream(task.seed, "weights").get_state())
        network = build_network(task.network, channels, dataset.classes, mean, std)
    network.to(memory_format=getattr(torch, execution.layout))
    try:
        history = fit(network, dataset.train, dataset.test, task.recipe, task.seed, torch.device(execution.device), send)
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
        ),
        recipe=task.recipe.as_dict(),
        seed=task.seed,
        training_key=task.key,
        execution=asdict(execution),
        history=[_epoch_header(epoch) for epoch in history],
        diverged_at=next((epoch.epoch for epoch in history if epoch.diverged), None),
        environment=environment(),
    )
    return save_checkpoint(task.path, network, header)


def _epoch_header(epoch: Epoch) -> EpochHeader:
    """The epoch as a header holds it, numbers that are not finite as null."""
    values = asdict(epoch)
    parameters = values.pop("block_parameters")
    numbers = {name: finite(value) for name, value in values.items()}
    blocks = None if parameters is None else [finite(p) for p in parameters]
    return EpochHeader.model_validate({**numbers, "block_parameters": blocks})


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
