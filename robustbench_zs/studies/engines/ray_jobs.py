"""A job of a study on a cluster of Ray: what is known of it here, and what a process of Ray does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from robustbench_zs.studies.engines.claims import Claim
from robustbench_zs.studies.engines.data_on_node import Files
from robustbench_zs.studies.engines.errand import Errand, News, Trial, run_errand, run_trial, tasks_of
from robustbench_zs.studies.engines.parcel import Parcel
from robustbench_zs.studies.plan import EvaluateStep, TransferStep
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.task import TrainingTask


class Inbox:
    """Keeps what jobs send until it is fetched; an actor of Ray, since its clients know no other way to be told."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, int, News]] = []

    def put(self, job: int, attempt: int, news: News) -> None:
        self.kept.append((job, attempt, news))

    def take(self) -> list[tuple[int, int, News]]:
        taken, self.kept = self.kept, []
        return taken


def do_errand(errand: Errand, job: int, attempt: int, inbox: Any, files: list[Any], data: list[Any]) -> News:
    """An errand in a process of Ray; references in lists stay references until they are asked for."""
    import ray

    def send(news: News) -> None:
        ray.get(inbox.put.remote(job, attempt, news))  # waits: what was sent has arrived when the job ends

    send(News())
    errand = replace(errand, files=(*errand.files, *ray.get(files)))
    return run_errand(errand, partial(_fetched, data), send)


def do_trial(trial: Trial, data: list[Any]) -> tuple[list[Execution], Parcel | None, list[str]]:
    said: list[str] = []
    chosen, file = run_trial(trial, partial(_fetched, data), said.append)
    return chosen, file, said


def _fetched(data: list[Any]) -> Files:
    import ray

    found: Files = ray.get(data[0]) if data else {}
    return found


@dataclass
class RayJob:
    """A job of a study on its way."""

    number: int
    steps: tuple[EvaluateStep, ...] | tuple[TransferStep]
    execution: Execution
    claim: Claim
    work: float
    attempt: int = 0
    failures: int = 0
    running: bool = False

    @property
    def tasks(self) -> tuple[TrainingTask, ...]:
        return tasks_of(self.steps)

    @property
    def name(self) -> str:
        names = [f"{step.task.network.name} seed {step.task.seed}" for step in self.steps]
        return ", ".join(names[:1]) + (f" and {len(names) - 1} more" if len(names) > 1 else "")
