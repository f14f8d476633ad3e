"""Finds which parts of a study are already done: networks by their files or the store, results by the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.questions import Accuracy, Question
from robustbench_zs.evaluation.sources import remember
from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.evaluation.subject import Subject
from robustbench_zs.evaluation.transfer import Shown, transfer_of
from robustbench_zs.studies.plan import EvaluateStep, Plan, TransferStep
from robustbench_zs.training.checkpoint import Checkpoint
from robustbench_zs.training.header import Header, first_problem
from robustbench_zs.training.task import TrainingTask


@dataclass(frozen=True)
class Known:
    """A trained network: from its file or, where that is gone, from the store; then `checkpoint` is None."""

    digest: str
    path: str
    header: Header
    checkpoint: Checkpoint | None


@dataclass(frozen=True)
class Status:
    """Which steps of a plan are still to be done, and what is known of the networks that are trained, by step."""

    untrained: tuple[EvaluateStep, ...]
    unevaluated: tuple[EvaluateStep, ...]
    known: dict[str, Known]
    unshown: tuple[TransferStep, ...] = ()

    @property
    def todo(self) -> list[EvaluateStep]:
        """The steps of networks that are to be trained or evaluated."""
        return list({step.id: step for step in (*self.untrained, *self.unevaluated)}.values())

    @property
    def pending(self) -> bool:
        """Whether anything is still to be done."""
        return bool(self.untrained or self.unevaluated or self.unshown)


def plan_status(plan: Plan, store: ResultsStore) -> Status:
    """What of a plan is not done yet."""
    untrained: list[EvaluateStep] = []
    unevaluated: list[EvaluateStep] = []
    found: dict[str, Known] = {}
    for step in plan.evaluations:
        known = known_network(step.task, store)
        if known is None:
            untrained.append(step)
            continue
        found[step.id] = known
        missing = [q for q, answer in stored_answers(step, known.digest, store).items() if answer is None]
        if missing and known.checkpoint:
            unevaluated.append(step)
        elif any(question.required for question in missing):
            untrained.append(step)  # without the weights what is missing can only be had by training again
    steps = {step.task: step for step in plan.evaluations}
    unshown = []
    for transfer in plan.transfers:
        taking_part = [steps[task] for task in (transfer.task, *transfer.targets)]
        if any(step in untrained for step in taking_part):
            unshown.append(transfer)
        elif any(shown is None for shown in stored_transfers(transfer, steps, found, store)):
            unshown.append(transfer)
            # Without the weights what is missing can only be had by training again.
            untrained += [step for step in dict.fromkeys(taking_part) if found[step.id].checkpoint is None]
    return Status(tuple(untrained), tuple(unevaluated), found, tuple(unshown))


def known_network(task: TrainingTask, store: ResultsStore) -> Known | None:
    checkpoint = task.existing()
    if checkpoint is not None:
        remembered = store.checkpoint(task.key)
        if remembered is None or remembered[0] != checkpoint.digest:
            remember(store, checkpoint)  # the file decides; the store only stands in for it where it is gone
        return Known(checkpoint.digest, str(checkpoint.path), checkpoint.header, checkpoint)
    remembered = store.checkpoint(task.key)
    if remembered is None:
        return None
    digest, path, header = remembered
    try:
        return Known(digest, path, Header.model_validate_json(header), None)
    except ValidationError as error:
        raise RequestError(f"the results store {store.path} is damaged: {first_problem(error)}") from error


def stored_answers(step: EvaluateStep, digest: str, store: ResultsStore) -> dict[Question[Any], Any]:
    """What the store has on each question of a step; None where it has nothing."""
    dataset = step.task.load_dataset()
    return {q: store.get(q, digest, dataset.split(q.split)) for q in step.questions}


def stored_transfers(
    transfer: TransferStep, steps: Mapping[TrainingTask, EvaluateStep], known: Mapping[str, Known], store: ResultsStore
) -> list[Shown | None]:
    """What the store has of each target on the examples, in the order of the targets."""
    data = transfer.task.load_dataset().test
    attacked = transfer_of(subject_of(known[steps[transfer.task].id]), transfer.attack)
    found = []
    for task in transfer.targets:
        digest = known[steps[task].id].digest
        outcomes, clean = (store.get(Accuracy(p), digest, data) for p in (attacked, None))
        found.append(None if outcomes is None or clean is None else Shown(outcomes, clean))
    return found


def subject_of(known: Known) -> Subject:
    return Subject.of_header(known.header, known.digest, known.path, _no_weights)  # nothing is computed here


def _no_weights() -> Any:
    raise RequestError("the weights of this network are not at hand")
