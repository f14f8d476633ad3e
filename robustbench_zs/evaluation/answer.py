"""Answers questions about several networks: from the store where possible, else by several processes where that pays off."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from robustbench_zs.datasets.known import KNOWN, OTHER
from robustbench_zs.datasets.load import Images
from robustbench_zs.evaluation.evaluator import Evaluated, EvaluationTask, evaluate_one, stored
from robustbench_zs.evaluation.questions.question import Question
from robustbench_zs.evaluation.sources import remember
from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.evaluation.subject import Source
from robustbench_zs.system.workers import Job, run_jobs
from robustbench_zs.training.checkpoint import Checkpoint
from robustbench_zs.training.execution import Compute

SMALL_WORK = 1e11
"""Multiply-adds that are done in this process: some ten seconds, about what worker processes take to import torch."""

USUAL_IMAGES = 10_000
"""Number of test images that a dataset other than digits is taken to have, before it is read."""

Asked = tuple[Source, Images, Sequence[Question[Any]]]
OnResult = Callable[[str, str], None]
"""Called with checkpoint and question after each answer."""


def answer(
    asked: Sequence[Asked], compute: Compute, store: str | Path | None, on_result: OnResult | None = None
) -> list[Evaluated]:
    """The answers of each network to its questions, in the order of `asked`."""
    execution = compute.execution(len(asked))
    known = None if store is None else ResultsStore(store)
    tasks, names = [], []
    for source, images, questions in asked:
        ours = isinstance(source, Checkpoint)
        names.append(str(source.path) if isinstance(source, Checkpoint) else "model")
        kept = str(store) if known and ours else None
        tasks.append(EvaluationTask(source, images, tuple(questions), execution, compute.batch_size, kept))
        if known and isinstance(source, Checkpoint):
            remember(known, source)

    def done(index: int, label: str) -> None:
        if on_result:
            on_result(names[index], label)

    results = [stored(task, partial(done, index)) for index, task in enumerate(tasks)]
    pending = [index for index, result in enumerate(results) if result is None]
    # A module at hand stays in this process.
    here = any(isinstance(source, nn.Module) for source, *_ in asked) or execution.device != "cpu"
    workers = 1 if here or sum(_work(tasks[i]) for i in pending) < SMALL_WORK else compute.workers
    jobs = [Job(evaluate_one, (tasks[index],)) for index in pending]
    for place, result in run_jobs(jobs, workers, lambda place, label: done(pending[place], label)):
        results[pending[place]] = result
    return [result for result in results if result is not None]


def _work(task: EvaluationTask) -> float:
    """Multiply-adds of a task, at most: as if every weight acted on every pixel."""
    if not isinstance(task.source, Checkpoint):
        return math.inf
    height, width = task.source.header.dataset.image_size
    weights = sum(tensor.numel() for tensor in task.source.tensors.values())
    passes = sum(question.passes for question in task.questions)
    all_of_them = KNOWN.get(str(task.images.dataset), OTHER).examples.get("test", USUAL_IMAGES)
    images = max(task.images.test_examples or all_of_them, task.images.train_examples or 0)
    return float(weights * height * width * images * passes)
