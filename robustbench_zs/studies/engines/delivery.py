"""What jobs elsewhere send back, put to its place."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robustbench_zs.errors import UnfinishedError
from robustbench_zs.evaluation.sources import remember_trained
from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.studies.engines.engine import Assignment
from robustbench_zs.studies.engines.errand import STORE, News
from robustbench_zs.studies.engines.parcel import Parcel
from robustbench_zs.studies.engines.ray_jobs import RayJob
from robustbench_zs.studies.engines.standing import Count
from robustbench_zs.training.loop import Epoch
from robustbench_zs.training.task import TrainingTask


@dataclass
class Delivery:
    """Puts what jobs send to its place, and tells of it."""

    assignment: Assignment
    count: Count

    def take(self, job: RayJob, news: News) -> None:
        """Keep what a job sent; an `UnfinishedError` if a file was damaged on its way or cannot be written."""
        job.running = True
        if news.files or news.results:
            job.failures = 0
        self._keep(job.tasks, news.files)
        if news.results:
            with tempfile.TemporaryDirectory() as folder:
                news.results.unpack(Path(folder) / STORE)
                self.assignment.store.take_over(Path(folder) / STORE)
        for place, event in news.events:
            self._tell(job.steps[place].task, event)

    def end(self, job: RayJob, news: News) -> None:
        """Keep the last that a job sent; an `UnfinishedError` as of `take`, or if a checkpoint did not arrive."""
        self.take(job, news)
        job.running = False
        for task in job.tasks:
            if task.existing() is None:
                raise UnfinishedError(f"the checkpoint of {task.network.name} did not arrive")
        self.count.done += 1
        self.count.worked += job.work

    def _keep(self, tasks: Sequence[TrainingTask], files: Sequence[Parcel]) -> None:
        places = {path.name: (task, path) for task in tasks for path in (task.path, task.state_path)}
        for file in files:
            task, path = places[file.name]
            file.unpack(path)
            checkpoint = task.existing() if path == task.path else None
            if checkpoint is not None:
                remember_trained(self.assignment.store, checkpoint)
                task.state_path.unlink(missing_ok=True)

    def _tell(self, task: TrainingTask, event: Epoch | str) -> None:
        if isinstance(event, Epoch):
            self.count.images(len(task.load_dataset().train))
        self.assignment.events.tell(task, event)


def known_results(tasks: Sequence[TrainingTask], store: ResultsStore) -> Parcel | None:
    """What is known of the networks that are trained, as a store of its own."""
    digests = [checkpoint.digest for task in tasks if (checkpoint := task.existing())]
    if not any(store.knows(digest) for digest in digests):
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / STORE
        ResultsStore(path).take_over(store.path, digests)
        return Parcel.of(path)
