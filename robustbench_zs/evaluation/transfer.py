"""Adversarial examples of some networks, shown to others: the function behind `zsbench attack --from`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from robustbench_zs.datasets import Split, load_dataset
from robustbench_zs.evaluation.evaluate import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_EPS,
    DEFAULT_L2_EPS,
    CheckpointLike,
    DatasetLike,
    checked_batch_size,
    dataset_label,
    dataset_of,
    frame_of_rows,
    remember,
    resolve_checkpoints,
    result_row,
)
from robustbench_zs.evaluation.outcomes import Outcomes, decide, evaluation_mode, measure
from robustbench_zs.evaluation.store import DEFAULT_STORE, ResultKey, ResultsStore
from robustbench_zs.evaluation.subject import Source, Subject, trained_on
from robustbench_zs.perturbations import FGSM, PGD
from robustbench_zs.perturbations.attacks import DEFAULT_SEED
from robustbench_zs.perturbations.make import make_attacks
from robustbench_zs.perturbations.transfer import Transfer, transferable
from robustbench_zs.schemes import CoefficientLike
from robustbench_zs.system.memory import enough_memory_or
from robustbench_zs.system.threads import torch_threads
from robustbench_zs.system.workers import Job, run_jobs
from robustbench_zs.training.checkpoint import Checkpoint
from robustbench_zs.training.execution import choose_execution

if TYPE_CHECKING:
    import pandas as pd


Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TransferTask:
    """Attack `source` and show the examples to every target; images as in `EvaluationTask`."""

    source: Source
    targets: tuple[Source, ...]
    attack: FGSM | PGD
    dataset: DatasetLike
    data_dir: str | None
    train_examples: int | None
    test_examples: int | None
    image_size: int | None
    store: str | None
    batch_size: int
    device: str
    threads: int


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
    with torch_threads(task.threads), torch.inference_mode(False):
        return _transfer_one(task, send)


def _transfer_one(task: TransferTask, send: Callable[[str], None]) -> list[Shown]:
    dataset = load_dataset(task.dataset, task.data_dir, task.train_examples, task.test_examples, task.image_size)
    data, device = dataset.test, torch.device(task.device)
    store = ResultsStore(task.store) if task.store else None
    source, targets = Subject.of(task.source), [Subject.of(target) for target in task.targets]
    for subject in (source, *targets):
        subject.check_fits(dataset, "test")
    transfer = transfer_of(source, task.attack)

    def stored(subject: Subject, perturbation: Transfer | None) -> Outcomes | None:
        return store.get(_key(subject, data, perturbation)) if store else None

    def keep(subject: Subject, perturbation: Transfer | None, outcomes: Outcomes, start: float, parts: int = 1) -> None:
        if store:
            store.put(_key(subject, data, perturbation), outcomes, (time.perf_counter() - start) / parts)

    clean = []
    for subject in targets:
        known = stored(subject, None)
        if known is None:
            start = time.perf_counter()
            known = measure(subject.on(device), data, None, device=device, batch_size=task.batch_size)
            keep(subject, None, known, start)
        clean.append(known)
    found = [stored(subject, transfer) for subject in targets]
    missing = [place for place, outcomes in enumerate(found) if outcomes is None]
    if missing:
        start = time.perf_counter()
        networks = [targets[place].on(device) for place in missing]
        decisions = _show(source.on(device), networks, data, transfer, device, task.batch_size)
        for place, (right, near) in zip(missing, decisions, strict=True):
            # An image that is wrong when clean counts as wrong, as under every attack.
            outcomes = Outcomes(clean[place].correct & right, near, data.digest)
            found[place] = outcomes
            keep(targets[place], transfer, outcomes, start, len(missing))
    send(transfer.label)
    warnings = [subject.unsteadiness(dataset, "test", device) for subject in targets]
    return [
        Shown(outcomes, before, warning)
        for outcomes, before, warning in zip(found, clean, warnings, strict=True)
        if outcomes is not None
    ]


def _show(
    source: nn.Module,
    targets: Sequence[nn.Module],
    data: Split,
    transfer: Transfer,
    device: torch.device,
    batch_size: int,
) -> list[tuple[Bools, Bools]]:
    """For each target which images it has right, and which are near ties."""
    decided = [(np.zeros(len(data), np.bool_), np.zeros(len(data), np.bool_)) for _ in targets]
    with ExitStack() as modes:
        modes.enter_context(enough_memory_or(f"out of memory at batch size {batch_size}: try a smaller --batch-size"))
        for network in (source, *targets):
            modes.enter_context(evaluation_mode(network))
        for indices in torch.arange(len(data)).split(batch_size):
            labels = data.labels[indices].to(device)
            examples = transfer(source, data.images(indices).to(device), labels, indices)
            for network, (right, near) in zip(targets, decided, strict=True):
                with torch.no_grad():
                    right_here, near_here = decide(network(examples), labels)
                right[indices.numpy()], near[indices.numpy()] = right_here.cpu().numpy(), near_here.cpu().numpy()
    return decided


def _key(subject: Subject, data: Split, perturbation: Transfer | None) -> ResultKey:
    return ResultKey.of(subject.digest, data.digest, "test", perturbation, len(data))


def transfer_rows(
    source: Subject, targets: Sequence[Subject], dataset: str, attack: FGSM | PGD, shown: Sequence[Shown]
) -> list[dict[str, Any]]:
    """One row a target with the columns of `result_row` and, of the source, `source`, `source_digest`, `source_network`,
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
    steps: int | None = None,
    norm: str = "linf",
    seed: int = DEFAULT_SEED,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    examples: int | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str | None = None,
    threads: int | None = None,
    workers: int = 1,
    store: str | Path | None = DEFAULT_STORE,
) -> pd.DataFrame:
    """Attack each source and show the examples to every checkpoint; the function behind `zsbench attack --from`.

    Args:
        sources: networks that are attacked, on all test images, with all steps.
        checkpoints: networks that see the examples; by default all below `checkpoints/`. A source may be among them.
        kind: `"pgd"` or `"fgsm"`.
        eps, steps, norm, seed: see `attack`; one ε.
        the others: as for `evaluate`.

    Returns:
        One row a source and checkpoint, see `transfer_rows`; right is what is right both when clean and on the examples.

    Raises:
        RequestError, UnfinishedError: as `evaluate`.

    Examples:
        >>> linear = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)) for _ in range(2)]
        >>> len(zs.transfer_attack(linear[:1], linear, "fgsm", eps=0.1, dataset="digits", examples=20))
        2
    """
    givers, takers = resolve_checkpoints(sources), resolve_checkpoints(checkpoints, dataset)
    name = dataset_of(givers[0], dataset)
    default = DEFAULT_L2_EPS if norm == "l2" else DEFAULT_EPS.get(dataset_label(name), "8/255")
    last = True if kind == "pgd" else None
    (made,) = make_attacks(kind, [default if eps is None else eps], steps=steps, norm=norm, seed=seed, last=last)
    attack = transferable(made)  # type: ignore[arg-type]
    execution = choose_execution(len(givers), device, threads, workers)
    stored = None if store is None or not all(isinstance(s, Checkpoint) for s in (*givers, *takers)) else str(store)
    if stored:
        for checkpoint in (*givers, *takers):
            assert isinstance(checkpoint, Checkpoint)
            remember(ResultsStore(stored), checkpoint)
    jobs = [
        Job(
            transfer_one,
            (
                TransferTask(
                    source=source,
                    targets=tuple(takers),
                    attack=attack,
                    dataset=name,
                    data_dir=None if data_dir is None else str(data_dir),
                    train_examples=None,
                    test_examples=examples,
                    image_size=header.resize_to if (header := trained_on(source)) else None,
                    store=stored,
                    batch_size=checked_batch_size(batch_size),
                    device=execution.device,
                    threads=execution.threads,
                ),
            ),
        )
        for source in givers
    ]
    at_hand = any(isinstance(s, nn.Module) for s in (*givers, *takers))
    results = dict(run_jobs(jobs, workers if execution.device == "cpu" and not at_hand else 1))
    subjects = [Subject.of(taker) for taker in takers]
    rows = []
    for place, source in enumerate(givers):
        rows += transfer_rows(Subject.of(source), subjects, dataset_label(name), attack, results[place])
    return frame_of_rows(rows)
