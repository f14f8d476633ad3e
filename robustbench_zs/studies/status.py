"""Finds which parts of a study are already done: networks by their files or the store, results by the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.questions import Accuracy, Question
from robustbench_zs.evaluation.sources import remember_trained
from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.evaluation.subject import Subject
from robustbench_zs.evaluation.transfer import Shown, transfer_of
from robustbench_zs.studies.plan import EvaluateStep, Plan, TransferStep
from robustbench_zs.training.checkpoint import Checkpoint
from robustbench_zs.training.header import Header, first_problem
from robustbench_zs.training.task import TrainingTask

Answers = Mapping[Question[Any], Any]
"""What the store has on each question that is asked of a network; None where it has nothing."""


@dataclass(frozen=True)
class KnownNetwork:
    """A trained network: from its file or, where that is gone, from the store; then `checkpoint` is None."""

    digest: str
    path: str
    header: Header
    checkpoint: Checkpoint | None


@dataclass(frozen=True)
class Status:
    """Which steps of a plan are still to be done, and what is there, by the id of the step.

    Args:
        known: the networks that are trained.
        answers: what the store has on the questions asked of them, see `stored_answers`.
        shown: what it has of transfers, see `_stored_transfers`.
    """

    untrained: tuple[EvaluateStep, ...]
    unevaluated: tuple[EvaluateStep, ...]
    unshown: tuple[TransferStep, ...]
    known: Mapping[str, KnownNetwork]
    answers: Mapping[str, Answers]
    shown: Mapping[str, Sequence[Shown | None]]

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
    known: dict[str, KnownNetwork] = {}
    answers: dict[str, Answers] = {}
    for step in plan.evaluations:
        network = known_network(step.task, store)
        if network is None:
            untrained.append(step)
            continue
        known[step.id], answers[step.id] = network, stored_answers(step, network.digest, store)
        missing = [question for question, answer in answers[step.id].items() if answer is None]
        if missing and network.checkpoint:
            unevaluated.append(step)
        elif any(question.required for question in missing):
            untrained.append(step)  # without the weights what is missing can only be had by training again
    steps = {step.task: step for step in plan.evaluations}
    unshown, shown = [], {}
    for transfer in plan.transfers:
        taking_part = [steps[task] for task in (transfer.task, *transfer.targets)]
        if all(step.id in known for step in taking_part):
            networks = [(known[step.id], answers[step.id]) for step in taking_part]
            shown[transfer.id] = _stored_transfers(transfer, networks, store)
        if any(step in untrained for step in taking_part):
            unshown.append(transfer)
        elif None in shown[transfer.id]:
            unshown.append(transfer)
            # Without the weights what is missing can only be had by training again.
            untrained += [step for step in dict.fromkeys(taking_part) if known[step.id].checkpoint is None]
    return Status(tuple(untrained), tuple(unevaluated), tuple(unshown), known, answers, shown)


def known_network(task: TrainingTask, store: ResultsStore) -> KnownNetwork | None:
    checkpoint, remembered = task.existing(), store.checkpoint(task.key)
    if checkpoint is not None:
        if remembered is None or remembered[0] != checkpoint.digest:
            remember_trained(store, checkpoint)  # the file decides; the store only stands in for it where it is gone
        return KnownNetwork(checkpoint.digest, str(checkpoint.path), checkpoint.header, checkpoint)
    if remembered is None:
        return None
    digest, path, header = remembered
    try:
        return KnownNetwork(digest, path, Header.model_validate_json(header), None)
    except ValidationError as error:
        raise RequestError(f"the results store {store.path} is damaged: {first_problem(error)}") from error


def stored_answers(step: EvaluateStep, digest: str, store: ResultsStore) -> Answers:
    """What the store has on each question of a step; None where it has nothing."""
    dataset = step.task.load_dataset()
    return {q: store.get(q, digest, dataset.split(q.split)) for q in step.questions}


def _stored_transfers(
    transfer: TransferStep, networks: Sequence[tuple[KnownNetwork, Answers]], store: ResultsStore
) -> list[Shown | None]:
    """What the store has of each target on the examples, in the order of the targets.

    Args:
        networks: the source and the targets, each with what is stored of it.
    """
    data = transfer.task.load_dataset().test
    (source, _), *targets = networks
    question = Accuracy(transfer_of(subject_of(source), transfer.attack))
    found = [(store.get(question, target.digest, data), answers[Accuracy()]) for target, answers in targets]
    return [None if outcomes is None or clean is None else Shown(outcomes, clean) for outcomes, clean in found]


def subject_of(known: KnownNetwork) -> Subject:
    return Subject.of_header(known.header, known.digest, known.path, _no_weights)  # nothing is computed here


def _no_weights() -> Any:
    raise RequestError("the weights of this network are not at hand")
