"""The interface between what is to be done for a study and who does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.studies.engines.standing import Standing
from robustbench_zs.studies.plan import EvaluateStep, Plan, TransferStep
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.loop import Epoch
from robustbench_zs.training.task import TrainingTask

OnEvent = Callable[[TrainingTask, Epoch | str], None]
"""Called with the network's task and an epoch of its training, or the label of an evaluation that is done."""


@dataclass(frozen=True)
class Assignment:
    """What an engine works for: the plan, the store that results go to, images per batch, and who is told.

    Args:
        say: gets a sentence on how networks are trained, where that is chosen by a trial, and on a job that failed.
        on_standing: called from time to time with how far the work is, by engines that know it.
    """

    plan: Plan
    store: ResultsStore
    batch_size: int
    on_event: OnEvent
    say: Callable[[str], None]
    on_standing: Callable[[Standing], None] = lambda standing: None

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
