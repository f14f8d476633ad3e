"""The interface between a study and the engine that runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.studies.engines.standing import Standing
from robustbench_zs.studies.plan import EvaluateStep, Plan, TransferStep
from robustbench_zs.studies.status import Status
from robustbench_zs.studies.study import Study
from robustbench_zs.training.events import Events
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.loop import Epoch
from robustbench_zs.training.task import TrainingTask

OnEvent = Callable[[TrainingTask, Epoch | str], None]
"""Called with the network's task and an epoch of its training, or the label of an evaluation that is done."""


@dataclass(frozen=True, kw_only=True)
class StudyEvents(Events):
    """Who is told what happens while a study is run; see `Events`, whose `say` also gets a sentence on each job that failed.

    Args:
        started: called with a study and what of it is to be done.
        evaluated: called with the task of a network and the label of an evaluation that is done.
        standing: called from time to time with how far the work is, by engines that know it.
    """

    started: Callable[[Study, Status], None] = lambda study, status: None
    evaluated: Callable[[TrainingTask, str], None] = lambda task, label: None
    standing: Callable[[Standing], None] = lambda standing: None

    def tell(self, task: TrainingTask, event: Epoch | str) -> None:
        """An epoch of a network's training, or the label of an evaluation, is done."""
        if isinstance(event, Epoch):
            self.epoch(task, event)
        else:
            self.evaluated(task, event)


@dataclass(frozen=True)
class Assignment:
    """What an engine works for: the plan, the store that results go to, images per batch, and who is told."""

    plan: Plan
    store: ResultsStore
    batch_size: int
    events: StudyEvents

    def begun(self, execution: Execution) -> Execution:
        """The execution with as many threads as the study began with on the device, so that all are trained alike."""
        for step in self.plan.evaluations:
            checkpoint = step.task.existing()
            if checkpoint and checkpoint.header.execution.get("device") == execution.device:
                return replace(execution, threads=int(checkpoint.header.execution["threads"]))
        return execution


class Engine(Protocol):
    """Who does the work of a study.

    When a method returns, checkpoints are at the places that their tasks give and results are in the store of the
    assignment, but for jobs that were given up: the methods return a sentence for each. What is there already is not done
    again.
    """

    @property
    def device(self) -> torch.device:
        """What it computes on; that device need not be in this process."""

    def networks(self, steps: Sequence[EvaluateStep], assignment: Assignment) -> list[str]:
        """Train the networks that have no checkpoint yet, phase by phase, and do what each step asks of its network.

        Raises:
            UnfinishedError: out of memory or disk, or a process was ended.
        """

    def transfers(self, steps: Sequence[TransferStep], assignment: Assignment) -> list[str]:
        """Show the adversarial examples of some networks to others; all of them are trained.

        Raises:
            UnfinishedError: as `networks`.
        """

    def close(self) -> None:
        """Let go of what the engine holds."""
