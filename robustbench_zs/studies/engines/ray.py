"""The work of a study on a Ray cluster, or on a Ray that is started on this machine.

Ray decides which job runs where. This process deals the jobs, gives each the files that it goes on from, and is the only
one that writes checkpoints and results: jobs send back what comes into being, while they run. A job that fails, or whose
node dies, is handed out again with what was saved of it.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from robustbench_zs.errors import RequestError, UnfinishedError, ZsbenchError
from robustbench_zs.networks.stacked import stack_shape
from robustbench_zs.studies.cost import epoch_work, work
from robustbench_zs.studies.engines.claims import Node, claim_of
from robustbench_zs.studies.engines.data_on_node import DataFolder, folder_of, read_folder
from robustbench_zs.studies.engines.delivery import Delivery, known_results
from robustbench_zs.studies.engines.engine import Assignment
from robustbench_zs.studies.engines.errand import Errand, Trial, tasks_of
from robustbench_zs.studies.engines.parcel import parcels
from robustbench_zs.studies.engines.ray_jobs import Inbox, RayJob, do_errand, do_trial
from robustbench_zs.studies.engines.standing import Count
from robustbench_zs.studies.engines.work import deal_steps
from robustbench_zs.studies.plan import EvaluateStep, TransferStep
from robustbench_zs.training.execution import Execution, choose_execution
from robustbench_zs.training.task import TrainingTask
from robustbench_zs.training.trial import CHOICES, merge_choices

MAX_FAILURES = 3
"""In a row, with nothing new saved in between: then a job is given up."""

AHEAD = 2
"""Jobs handed to Ray for each that can run: the next one is there when a worker is free, and an autoscaler sees it."""

LOOK = 0.5
"""Seconds between two looks for news."""


class RayEngine:
    """A cluster of Ray.

    Args:
        address: of the cluster, `"auto"` for the one that this machine belongs to; None starts Ray on this machine alone,
            unless `$RAY_ADDRESS` names a cluster.
        device: `"cuda"` or `"cpu"`; by default the GPUs of the cluster if it has any.
        threads: of each network on a CPU; by default the cores of the cluster divided by the networks.

    Raises:
        RequestError: Ray is not installed, or the cluster has no such device.
        UnfinishedError: there is no cluster at the address.
    """

    def __init__(self, address: str | None = None, device: str | None = None, threads: int | None = None) -> None:
        self.ray = _connected(address)
        self.threads = threads
        gpus = any(node.gpus for node in self._nodes())
        kind = device or ("cuda" if gpus else "cpu")
        if kind not in ("cpu", "cuda") or (kind == "cuda" and not gpus):
            self.close()
            raise RequestError(f"the cluster has no device {kind[:40]!r}: use {'cuda or ' if gpus else ''}cpu")
        self.device = torch.device(kind)
        self._work = self.ray.remote(do_errand)
        self._sent: dict[Path, tuple[DataFolder, list[Any]]] = {}

    def close(self) -> None:
        """Leave the cluster; a Ray that was started here ends."""
        self.ray.shutdown()

    def networks(self, steps: Sequence[EvaluateStep], assignment: Assignment) -> list[str]:
        if not steps:
            return []
        execution = self._execution(len(steps), assignment)
        at_a_time = claim_of(steps[0].task, execution, self._nodes()).places(self._nodes())
        dealt = deal_steps(steps, execution, lambda tasks: self._chosen(tasks, execution, assignment), at_a_time)
        return self._run([self._job(number, tuple(some), how) for number, (some, how) in enumerate(dealt)], assignment)

    def transfers(self, steps: Sequence[TransferStep], assignment: Assignment) -> list[str]:
        execution = self._execution(len(steps), assignment)
        return self._run([self._job(number, (step,), execution) for number, step in enumerate(steps)], assignment)

    def _job(self, number: int, steps: tuple[EvaluateStep, ...] | tuple[TransferStep], execution: Execution) -> RayJob:
        claim = claim_of(steps[0].task, execution, self._nodes())
        if isinstance(steps[0], TransferStep):
            claim = replace(claim, gpus=min(1.0, claim.gpus))
        untrained = [task for task in tasks_of(steps) if task.existing() is None]
        training = sum(task.recipe.epochs * epoch_work(task) for task in untrained)
        return RayJob(number, steps, execution, claim, training + sum(work(step) for step in steps))

    def _execution(self, networks: int, assignment: Assignment) -> Execution:
        nodes = self._nodes()
        if self.device.type == "cuda":
            each = min(node.cores // node.gpus for node in nodes if node.gpus)
        else:
            each = min(min(node.cores for node in nodes), sum(node.cores for node in nodes) // max(1, networks))
        chosen = choose_execution(1, "cpu", self.threads or max(1, each), 1)
        chosen = replace(chosen, device=str(self.device))
        return chosen if self.threads else assignment.begun(chosen)

    def _chosen(self, tasks: Sequence[TrainingTask], execution: Execution, assignment: Assignment) -> list[Execution]:
        """How each network is trained, by trials on the nodes, one per shape."""
        shapes: dict[Any, list[int]] = {}
        for place, task in enumerate(tasks):
            shapes.setdefault(stack_shape(task.network) or task.network, []).append(place)
        path = assignment.plan.folder / CHOICES
        running = []
        for places in shapes.values():
            claim = claim_of(tasks[places[0]], execution, self._nodes())
            data, reference = self._data(tasks[places[0]])
            trial = Trial(
                tuple(tasks[place] for place in places), execution, claim.places(self._nodes()), data, parcels([path])
            )
            remote = self.ray.remote(do_trial).options(num_cpus=claim.cores, num_gpus=claim.gpus, name="trial")
            running.append(remote.remote(trial, reference))
        chosen = [execution] * len(tasks)
        for places, reference in zip(shapes.values(), running, strict=True):
            try:
                executions, file, said = self.ray.get(reference)
            except self.ray.exceptions.RayError as error:
                raise UnfinishedError(f"the trial of how to train failed: {_reason(error)}") from error
            for place, how in zip(places, executions, strict=True):
                chosen[place] = how
            for words in said:
                assignment.events.say(words)
            if file is not None:
                merge_choices(path, file.content)
        return chosen

    def _run(self, jobs: Sequence[RayJob], assignment: Assignment) -> list[str]:
        inbox = self.ray.remote(Inbox).options(num_cpus=0, scheduling_strategy=self._here()).remote()
        count = Count(len(jobs), sum(job.work for job in jobs))
        delivery = Delivery(assignment, count)
        waiting, running, given_up = deque(jobs), dict[Any, RayJob](), []
        try:
            while waiting or running:
                nodes = self._nodes()
                while waiting and len(running) < AHEAD * waiting[0].claim.places(nodes):
                    job = waiting.popleft()
                    running[self._handed_out(job, inbox, assignment)] = job
                self.ray.wait(list(running), timeout=LOOK)
                ended, _ = self.ray.wait(list(running), num_returns=len(running), timeout=0)
                for number, attempt, news in self.ray.get(inbox.take.remote()):
                    if attempt == jobs[number].attempt:
                        delivery.take(jobs[number], news)
                for reference in ended:
                    job = running.pop(reference)
                    job.running = False
                    try:
                        delivery.end(job, self.ray.get(reference))
                    except (self.ray.exceptions.RayError, UnfinishedError) as error:
                        job.failures += 1
                        job.attempt += 1
                        if job.failures < MAX_FAILURES:
                            assignment.events.say(
                                f"{job.name}: {_reason(error)}; it resumes elsewhere from the last saved state"
                            )
                            waiting.appendleft(job)
                        else:
                            assignment.events.say(
                                f"{job.name} failed {MAX_FAILURES} times and will not be tried again: {_reason(error)}"
                            )
                            given_up.append(f"{job.name}: {_reason(error)}")
                            count.failed += 1
                count.running = sum(job.running for job in running.values())
                assignment.events.standing(count.standing())
        finally:
            for reference in running:
                self.ray.cancel(reference, force=True)
            self.ray.kill(inbox)
        return given_up

    def _handed_out(self, job: RayJob, inbox: Any, assignment: Assignment) -> Any:
        """Give a job to Ray with the files that it goes on from; a reference to what it will return."""
        data, reference = self._data(job.tasks[0]) if job.tasks else (None, [])
        there = [path for task in job.tasks for path in (task.path, task.state_path)]
        errand = Errand(
            steps=job.steps,
            keys=tuple(task.key for task in job.tasks),
            execution=job.execution,
            batch_size=assignment.batch_size,
            data=data,
            known=known_results(job.tasks, assignment.store),
            gpus=job.claim.processes if job.claim.gpus > 1 else 0,
        )
        # The examples of every network are shown to all: so each file is put where nodes fetch it once.
        files = [self.ray.put(parcel) for parcel in parcels(there)]
        options = {
            "num_cpus": job.claim.cores,
            "num_gpus": job.claim.gpus,
            "max_retries": 0,
            "name": job.name,
            "scheduling_strategy": "SPREAD" if job.failures else "DEFAULT",
        }
        return self._work.options(**options).remote(errand, job.number, job.attempt, inbox, files, reference)

    def _data(self, task: TrainingTask) -> tuple[DataFolder | None, list[Any]]:
        """The folder of a task's dataset and, where it may be sent, a reference to its files, in a list."""
        path = folder_of(task)
        if path is None:
            return None, []
        if path not in self._sent:
            folder, files = read_folder(path)
            self._sent[path] = folder, [self.ray.put(files)] if files else []
        return self._sent[path]

    def _nodes(self) -> list[Node]:
        """The nodes that can work."""
        found = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        nodes = [Node(int(each["CPU"]), int(each.get("GPU", 0))) for each in found if each.get("CPU", 0) >= 1]
        return nodes or [Node(1, 0)]  # an autoscaler has not started any yet

    def _here(self) -> Any:
        """On the node of this process, or of its connection to the cluster, without which there is no run."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(self.ray.get_runtime_context().get_node_id(), soft=False)


def _reason(error: Exception) -> str:
    """Why a job failed, as one sentence."""
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, ZsbenchError):
        return str(cause)
    first = next((line for line in str(cause).splitlines() if line.strip()), "")
    return f"{type(cause).__name__}: {first[:200]}"


def _knock(address: str | None) -> None:
    """Let an address that nobody answers fail at once; Ray itself would go on trying for many minutes.

    Raises:
        ConnectionError: nobody answers there.
    """
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise ConnectionError(str(error)) from error


def _connected(address: str | None) -> Any:
    """The module `ray`, connected."""
    try:
        import ray
    except ImportError as error:
        raise RequestError("the engine ray needs the extra ray: run `pip install 'robustbench_zs[ray]'`") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        if not ray.is_initialized():
            _knock(address)
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError, ImportError) as error:
        with suppress(Exception):
            ray.shutdown()
        raise UnfinishedError(f"there is no connection to Ray at {address or 'this machine'}: {_reason(error)}") from error
    return ray
