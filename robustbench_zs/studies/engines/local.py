"""The work of a study in processes of this machine, or in those that `torchrun` started."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_zs.evaluation.transfer import transfer_one
from robustbench_zs.studies.engines.engine import Assignment
from robustbench_zs.studies.engines.work import deal_steps, do_networks, transfer_task
from robustbench_zs.studies.plan import EvaluateStep, TransferStep
from robustbench_zs.system.workers import Job, run_jobs
from robustbench_zs.training.distributed import Processes, device_of_this_process, processes
from robustbench_zs.training.execution import Execution, choose_device, choose_execution
from robustbench_zs.training.task import TrainingTask
from robustbench_zs.training.train import train_all
from robustbench_zs.training.trial import choose_executions


class LocalEngine:
    """Several networks at a time on a CPU, each in a process of its own; one after the other on a GPU.

    In processes that `torchrun` started, each network is trained by all of them together, and the first evaluates alone.

    Args:
        device, threads, workers: as for `train`.

    Raises:
        RequestError: there is no such device here.
    """

    def __init__(self, device: str | None = None, threads: int | None = None, workers: int = 1) -> None:
        self.device = choose_device(device_of_this_process(device))
        self.threads = threads
        self.workers = workers

    def networks(self, steps: Sequence[EvaluateStep], assignment: Assignment) -> list[str]:
        with processes(str(self.device)) as group:
            if group.size > 1:
                self._train_together(steps, assignment, group)
            if group.first and steps:
                self._in_jobs(steps, assignment)
        return []

    def _train_together(self, steps: Sequence[EvaluateStep], assignment: Assignment, group: Processes) -> None:
        untrained = group.agreed([step.task for step in steps if step.task.existing() is None])
        execution = self._execution(len(untrained), assignment, group.size)
        train_all(untrained, execution, self.workers, group, assignment.events)

    def _in_jobs(self, steps: Sequence[EvaluateStep], assignment: Assignment) -> None:
        execution = self._execution(len(steps), assignment)

        def choose(tasks: Sequence[TrainingTask]) -> list[Execution]:
            return choose_executions(tasks, execution, self._at_a_time, assignment.events.say)

        dealt = deal_steps(steps, execution, choose, self._at_a_time)
        store, batch_size = str(assignment.store.path), assignment.batch_size
        jobs = [Job(do_networks, (some, how, store, batch_size)) for some, how in dealt]
        for _ in run_jobs(
            jobs, self._at_a_time, lambda job, event: assignment.events.tell(dealt[job][0][event[0]].task, event[1])
        ):
            pass

    def transfers(self, steps: Sequence[TransferStep], assignment: Assignment) -> list[str]:
        execution = self._execution(len(steps), assignment)
        store, batch_size = str(assignment.store.path), assignment.batch_size
        jobs = [Job(transfer_one, (transfer_task(step, execution, store, batch_size),)) for step in steps]
        for _ in run_jobs(jobs, self._at_a_time, lambda job, label: assignment.events.tell(steps[job].task, label)):
            pass
        return []

    def close(self) -> None:
        """Its processes end with their jobs."""

    @property
    def _at_a_time(self) -> int:
        return self.workers if self.device.type == "cpu" else 1

    def _execution(self, networks: int, assignment: Assignment, processes: int = 1) -> Execution:
        chosen = choose_execution(networks, str(self.device), self.threads, self.workers, processes)
        return chosen if self.threads else assignment.begun(chosen)
