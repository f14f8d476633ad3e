"""Answers questions about one network: from the store where it has the answer, else by computing and storing it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from robustbench_zs.datasets import Split
from robustbench_zs.datasets.load import Images
from robustbench_zs.evaluation.questions.question import Answer, Question
from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.evaluation.subject import Source, Subject
from robustbench_zs.perturbations.native import Directions, faster_directions
from robustbench_zs.system.threads import torch_threads
from robustbench_zs.training.checkpoint import Checkpoint
from robustbench_zs.training.execution import Execution


@dataclass(frozen=True)
class EvaluationTask:
    """Ask a network questions; `store` is a file, or None for none."""

    source: Source
    images: Images
    questions: tuple[Question[Any], ...]
    execution: Execution
    batch_size: int
    store: str | None


@dataclass(frozen=True)
class Evaluated:
    """What a network answered, and the directions of attacks that left them open."""

    answers: Mapping[Question[Any], Any]
    warning: str | None = None
    directions: Directions = "float32"

    def __getitem__(self, question: Question[Answer]) -> Answer:
        answer: Answer = self.answers[question]
        return answer


def evaluate_one(task: EvaluationTask, send: Callable[[str], None]) -> Evaluated:
    """The answers to every question of a task; `send` gets the label of each."""
    # A caller may be in inference mode, where no gradient would reach an image.
    with torch_threads(task.execution.threads), torch.inference_mode(False):
        return Evaluator(task).run(send)


def stored(task: EvaluationTask, send: Callable[[str], None]) -> Evaluated | None:
    """What `evaluate_one` gives, where all of it is in the store."""
    if task.store is None or not ResultsStore(task.store).knows(Subject.of(task.source).digest):
        return None
    with torch.inference_mode(False):  # the labels that are read here are kept, and gradients may want them
        evaluator = Evaluator(task)
        if any(evaluator.recall(question) is None for question in evaluator.asked):
            return None
        return evaluator.run(send)


class Evaluator:
    """A network with images and a store: the `Bench` of its questions.

    Raises:
        RequestError: the network does not fit the images.
    """

    def __init__(self, task: EvaluationTask) -> None:
        self.task = task
        self.subject = Subject.of(task.source)
        self.device = torch.device(task.execution.device)
        self.batch_size = task.batch_size
        self._dataset = task.images.load()
        self._store = ResultsStore(task.store) if task.store else None
        self._answers: dict[Question[Any], Any] = {}
        self._spent = 0.0
        for split in {question.split for question in task.questions}:
            self.subject.check_fits(self._dataset, split)
        self.warning = self.subject.unsteadiness(self._dataset, task.questions[0].split, self.device)
        self.directions = self._directions()
        self.asked = tuple(question.with_directions(self.directions) for question in task.questions)

    def run(self, send: Callable[[str], None]) -> Evaluated:
        """The answers to all questions of the task, under them as they were asked and with directions."""
        answers = {}
        for asked, question in zip(self.task.questions, self.asked, strict=True):
            answers[asked] = answers[question] = self.ask(question)
            send(question.label)
        return Evaluated(answers, self.warning, self.directions)

    def network(self) -> nn.Module:
        return self.subject.on(self.device)

    def images(self, split: str) -> Split:
        return self._dataset.split(split)

    def ask(self, question: Question[Answer]) -> Answer:
        known = self.recall(question)
        if known is not None:
            return known
        start, before = time.perf_counter(), self._spent
        made = question.answer(self)
        # What was asked on the way has its own row with its own time.
        seconds = time.perf_counter() - start - (self._spent - before)
        for each, answer in made.items():
            self.keep(each, answer, seconds / len(made))
        return made[question]

    def recall(self, question: Question[Answer]) -> Answer | None:
        found: Answer | None = self._answers.get(question)
        if found is None and self._store:
            found = self._store.get(question, self.subject.digest, self.images(question.split))
            self._answers[question] = found
        return found

    def keep(self, question: Question[Answer], answer: Answer, seconds: float) -> None:
        """Note an answer that took so long."""
        self._answers[question] = answer
        self._spent += seconds
        if self._store:
            self._store.put(question, self.subject.digest, self.images(question.split), answer, seconds)

    def _directions(self) -> Directions:
        """Those of attacks that leave them open: float32 where all answers are known so, or where code is not ours, which
        may not bear bfloat16; else what is faster."""
        plain = [q for q in (q.with_directions("float32") for q in self.task.questions) if q not in self.task.questions]
        if not isinstance(self.task.source, Checkpoint) or all(self.recall(q) is not None for q in plain):
            return "float32"
        return faster_directions(self.device, self.images("test").shape)
