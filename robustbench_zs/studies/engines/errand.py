"""A job of a study away from its folder: in a folder of its own, from which everything that comes into being is sent back.

Nothing here knows how errands travel; see `ray`.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.transfer import transfer_one
from robustbench_zs.studies.engines.data_on_node import DataFolder, Files, node_folder
from robustbench_zs.studies.engines.parcel import Parcel, parcels
from robustbench_zs.studies.engines.work import do_networks, transfer_task
from robustbench_zs.studies.plan import EvaluateStep, TransferStep
from robustbench_zs.system.environment import environment
from robustbench_zs.training.events import numbered
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.launch import train_in_processes
from robustbench_zs.training.state import state_interval
from robustbench_zs.training.task import TrainingTask
from robustbench_zs.training.trial import CHOICES, choose_executions

STORE = "results.sqlite"


def _version() -> str | int | None:
    return environment()["robustbench_zs"]


@dataclass(frozen=True)
class Errand:
    """Train and evaluate some networks, or show the adversarial examples of one to others.

    Args:
        steps: the networks of one job, or one transfer.
        keys: what decides the weights of each network, which depends on the images, see `TrainingTask.key`.
        files: checkpoints and states of training that are there already.
        known: a results store with what is known of these networks, if anything is.
        gpus: how many train the one network of the errand together; 0 for a CPU or a part of a GPU.
    """

    steps: tuple[EvaluateStep, ...] | tuple[TransferStep]
    keys: tuple[str, ...]
    execution: Execution
    batch_size: int
    data: DataFolder | None
    files: tuple[Parcel, ...] = ()
    known: Parcel | None = None
    gpus: int = 0
    version: str | int | None = field(default_factory=_version)

    @property
    def tasks(self) -> tuple[TrainingTask, ...]:
        """The networks that take part."""
        return tasks_of(self.steps)


@dataclass(frozen=True)
class Trial:
    """Find out how networks of one shape are trained fastest, `at_a_time` jobs side by side."""

    tasks: tuple[TrainingTask, ...]
    execution: Execution
    at_a_time: int
    data: DataFolder | None
    files: tuple[Parcel, ...] = ()


@dataclass(frozen=True)
class News:
    """What has come into being since the last news: events with the places of networks, files, and the results so far."""

    events: tuple[tuple[int, Any], ...] = ()
    files: tuple[Parcel, ...] = ()
    results: Parcel | None = None


Send = Callable[[News], None]


def tasks_of(steps: Sequence[EvaluateStep] | Sequence[TransferStep]) -> tuple[TrainingTask, ...]:
    """The networks that take part in steps, each once."""
    each = [(step.task, *(step.targets if isinstance(step, TransferStep) else ())) for step in steps]
    return tuple(dict.fromkeys(task for tasks in each for task in tasks))


def run_errand(errand: Errand, files: Callable[[], Files], send: Send) -> News:
    """Do what an errand asks, in a folder of its own.

    Args:
        files: fetches the dataset if this node lacks it.
        send: gets what comes into being, while it does.

    Returns:
        The news that were not sent.

    Raises:
        RequestError: this node has another version of the package or other images.
    """
    if errand.version != _version():
        raise RequestError(
            f"this node has version {_version()} of zsbench, but the study was started with {errand.version}: install the "
            "same version everywhere"
        )
    with tempfile.TemporaryDirectory(prefix="job-", dir=node_folder()) as scratch:
        here = _Moved(Path(scratch), errand.data.here(files) if errand.data else None)
        steps = [here.step(step) for step in errand.steps]
        tasks = tasks_of(steps)  # type: ignore[arg-type]
        if tuple(task.key for task in tasks) != errand.keys:
            raise RequestError(
                f"the images of {errand.tasks[0].dataset} on this node are not those of the study: give all nodes the same"
            )
        for parcel in errand.files:
            parcel.unpack(here.folder / parcel.name)
        if errand.known:
            errand.known.unpack(here.store)
        with _outbox(tasks, here.store, send) as outbox:
            if errand.gpus > 1 and tasks[0].existing() is None:
                train_in_processes(tasks[0], errand.gpus, errand.execution, numbered(outbox.event, 0))
            for step in steps:
                if isinstance(step, TransferStep):
                    doing = transfer_task(step, errand.execution, str(here.store), errand.batch_size)
                    transfer_one(doing, numbered(outbox.event, 0))
            networks = [step for step in steps if isinstance(step, EvaluateStep)]
            if networks:
                do_networks(networks, errand.execution, str(here.store), errand.batch_size, outbox.event)
            return outbox.rest()


def run_trial(trial: Trial, files: Callable[[], Files], say: Callable[[str], None]) -> tuple[list[Execution], Parcel | None]:
    """How each network is trained, and the file that says so, if there was a choice; see `choose_executions`."""
    with tempfile.TemporaryDirectory(prefix="trial-", dir=node_folder()) as scratch:
        here = _Moved(Path(scratch), trial.data.here(files) if trial.data else None)
        for parcel in trial.files:
            parcel.unpack(here.folder / parcel.name)
        chosen = choose_executions([here.task(task) for task in trial.tasks], trial.execution, trial.at_a_time, say)
        return chosen, next(iter(parcels([here.folder / CHOICES])), None)


@dataclass(frozen=True)
class _Moved:
    """Steps as they are done in another folder, with the images of another."""

    scratch: Path
    data: Path | None

    @property
    def folder(self) -> Path:
        return self.scratch / "checkpoints"

    @property
    def store(self) -> Path:
        return self.scratch / STORE

    def task(self, task: TrainingTask) -> TrainingTask:
        if self.data is None:
            return replace(task, folder=str(self.folder))
        return replace(task, folder=str(self.folder), data_dir=str(self.data.parent), dataset=self.data.name)

    def step(self, step: EvaluateStep | TransferStep) -> EvaluateStep | TransferStep:
        if isinstance(step, TransferStep):
            return replace(step, task=self.task(step.task), targets=tuple(self.task(task) for task in step.targets))
        return replace(step, task=self.task(step.task))


@dataclass
class _Outbox:
    """Sends events at once, with the results that are new by then; files when they have changed."""

    paths: Sequence[Path]
    store: Path
    send: Send
    seen: dict[Path, tuple[int, int]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def event(self, event: tuple[int, Any]) -> None:
        """Send an event, from the thread that works: no one else writes to the store meanwhile."""
        self.send(News((event,), self.changed(self.paths), self._results()))

    def rest(self) -> News:
        return News((), self.changed(self.paths), self._results())

    def _results(self) -> Parcel | None:
        return next(iter(self.changed([self.store])), None)

    def changed(self, paths: Sequence[Path]) -> tuple[Parcel, ...]:
        """Those of the files that are not as they were last time."""
        found = []
        with self.lock:
            for path in paths:
                try:
                    status = path.stat()
                    stamp = (status.st_mtime_ns, status.st_size)
                    if self.seen.get(path) != stamp:
                        found.append(Parcel.of(path))
                        self.seen[path] = stamp
                except FileNotFoundError:  # a state goes when the training is done
                    continue
        return tuple(found)


@contextmanager
def _outbox(tasks: Sequence[TrainingTask], store: Path, send: Send) -> Iterator[_Outbox]:
    """An outbox that also looks for files while the work gives no events, as often as states are written."""
    outbox = _Outbox([path for task in tasks for path in (task.path, task.state_path)], store, send)
    outbox.rest()  # what was brought along need not be sent back
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(max(1.0, min(10.0, state_interval()))):
            files = outbox.changed(outbox.paths)
            if files:
                send(News((), files))

    watch = threading.Thread(target=look, daemon=True)
    watch.start()
    try:
        yield outbox
    finally:
        ended.set()
        watch.join()
