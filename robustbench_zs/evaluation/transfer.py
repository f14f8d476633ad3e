"""Adversarial examples of some networks, shown to others: the function behind `zsbench attack --from`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from robustbench_zs.datasets.load import Images
from robustbench_zs.evaluation.evaluator import EvaluationTask, Evaluator
from robustbench_zs.evaluation.outcomes import Outcomes
from robustbench_zs.evaluation.questions.accuracy import Accuracy
from robustbench_zs.evaluation.questions.transfer import Transferred
from robustbench_zs.evaluation.rows import frame_of_rows, result_row
from robustbench_zs.evaluation.sources import (
    CheckpointLike,
    DatasetLike,
    dataset_label,
    dataset_of,
    default_eps,
    images_of,
    remember,
    resolve_checkpoints,
)
from robustbench_zs.evaluation.store import DEFAULT_STORE, ResultsStore
from robustbench_zs.evaluation.subject import Source, Subject
from robustbench_zs.perturbations import FGSM, PGD
from robustbench_zs.perturbations.transfer import Transfer, transferable
from robustbench_zs.schemes import CoefficientLike
from robustbench_zs.system.threads import torch_threads
from robustbench_zs.system.workers import Job, run_jobs
from robustbench_zs.training.checkpoint import Checkpoint
from robustbench_zs.training.execution import DEFAULT_BATCH_SIZE, Compute, Execution

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TransferTask:
    """Attack `source` and show the examples to every target; the rest is as in `EvaluationTask`."""

    source: Source
    targets: tuple[Source, ...]
    attack: FGSM | PGD
    images: Images
    execution: Execution
    batch_size: int
    store: str | None


@dataclass(frozen=True)
class Shown:
    """What a target makes of the examples, beside the clean images."""

    outcomes: Outcomes
    clean: Outcomes
    warning: str | None = None


def transfer_of(subject: Subject, attack: FGSM | PGD) -> Transfer:
    """The perturbation that the examples of a source are."""
    seed = "" if subject.seed is None else f" seed {subject.seed}"
    return Transfer(attack, subject.digest, f"{subject.network}{seed}")


def transfer_one(task: TransferTask, send: Callable[[str], None]) -> list[Shown]:
    """What each target makes of the source's examples, from the store where it is there; the examples are made once."""
    source, clean = Subject.of(task.source), Accuracy()
    with torch_threads(task.execution.threads), torch.inference_mode(False):
        source.check_fits(task.images.load(), "test")
        question = Transferred(transfer_of(source, task.attack))
        about = (clean, question)
        targets = [
            Evaluator(EvaluationTask(target, task.images, about, task.execution, task.batch_size, task.store))
            for target in task.targets
        ]
        before = [target.ask(clean) for target in targets]
        missing = [target for target in targets if target.recall(question) is None]
        if missing:
            start = time.perf_counter()
            made = replace(question, source=source.on(missing[0].device)).answer_each(missing)
            for target, outcomes in zip(missing, made, strict=True):
                target.keep(question, outcomes, (time.perf_counter() - start) / len(missing))
        send(question.label)
        return [Shown(target.ask(question), clean, target.warning) for target, clean in zip(targets, before, strict=True)]


def transfer_rows(
    source: Subject, targets: Sequence[Subject], dataset: str, attack: FGSM | PGD, shown: Sequence[Shown]
) -> list[dict[str, Any]]:
    """One row per target with the columns of `result_row` and, of the source, `source`, `source_digest`, `source_network`,
    `source_scheme`, `source_zero_stable`, `source_seed`."""
    perturbation = transfer_of(source, attack)
    facts = {
        "source": source.checkpoint,
        "source_digest": source.digest,
        "source_network": source.network,
        "source_scheme": source.scheme_name,
        "source_zero_stable": None if source.scheme is None else source.scheme.zero_stable,
        "source_seed": source.seed,
    }
    return [
        {**result_row(target, dataset, "test", perturbation, s.outcomes, s.clean), **facts, "warning": s.warning}
        for target, s in zip(targets, shown, strict=True)
    ]


def transfer_attack(
    sources: CheckpointLike | Iterable[CheckpointLike],
    checkpoints: CheckpointLike | Iterable[CheckpointLike] | None = None,
    kind: str = "pgd",
    *,
    eps: CoefficientLike | None = None,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    examples: int | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str | None = None,
    threads: int | None = None,
    workers: int = 1,
    store: str | Path | None = DEFAULT_STORE,
    **parameters: Any,
) -> pd.DataFrame:
    """Attack each source and show the examples to every checkpoint; the function behind `zsbench attack --from`.

    Args:
        sources: networks that are attacked, on all test images, with all steps.
        checkpoints: networks that see the examples; by default all below `checkpoints/`. A source may be among them.
        kind: `"pgd"` or `"fgsm"`.
        eps: see `attack`; one ε.
        parameters: of the attack, such as `steps`, `norm` and `seed`.
        the others: as for `evaluate`.

    Returns:
        One row per source and checkpoint, see `transfer_rows`; an image counts as correct if it is classified correctly both
        when clean and on the examples.

    Raises:
        RequestError, UnfinishedError: as `evaluate`.

    Examples:
        >>> linear = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)) for _ in range(2)]
        >>> len(zs.transfer_attack(linear[:1], linear, "fgsm", eps=0.1, dataset="digits", examples=20))
        2
    """
    givers, takers = resolve_checkpoints(sources), resolve_checkpoints(checkpoints, dataset)
    name = dataset_of(givers[0], dataset)
    budget = default_eps(dataset_label(name), parameters.get("norm")) if eps is None else eps
    attack = transferable(kind, budget, **parameters)
    compute = Compute(device, threads, workers, batch_size)
    execution = compute.execution(len(givers))
    ours = [source for source in (*givers, *takers) if isinstance(source, Checkpoint)]
    stored = None if store is None or len(ours) < len(givers) + len(takers) else str(store)
    for checkpoint in ours if stored else ():
        remember(ResultsStore(stored), checkpoint)  # type: ignore[arg-type]
    images = [images_of(source, name, data_dir, examples) for source in givers]
    jobs = [
        Job(transfer_one, (TransferTask(source, tuple(takers), attack, about, execution, compute.batch_size, stored),))
        for source, about in zip(givers, images, strict=True)
    ]
    at_hand = any(isinstance(s, nn.Module) for s in (*givers, *takers))
    results = dict(run_jobs(jobs, workers if execution.device == "cpu" and not at_hand else 1))
    subjects = [Subject.of(taker) for taker in takers]
    rows = []
    for place, source in enumerate(givers):
        rows += transfer_rows(Subject.of(source), subjects, dataset_label(name), attack, results[place])
    return frame_of_rows(rows)
