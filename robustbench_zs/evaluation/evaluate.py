"""Accuracies under perturbations: the functions behind `zsbench evaluate`, `attack` and `gap`."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from robustbench_zs.datasets import Dataset, dataset_of_arrays, load_dataset
from robustbench_zs.datasets.digits import TEST_IMAGES
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.intervals import newcombe_interval, wilson_interval
from robustbench_zs.evaluation.masking import Evidence, MaskingProbe, probe_network
from robustbench_zs.evaluation.model import Model
from robustbench_zs.evaluation.outcomes import Outcomes, measure, measure_fgsm, measure_rungs, searches
from robustbench_zs.evaluation.smallest_eps import Distances, EpsSearch, curve_of, smallest_eps
from robustbench_zs.evaluation.store import DEFAULT_STORE, ResultKey, ResultsStore
from robustbench_zs.evaluation.subject import Source, Subject, trained_on
from robustbench_zs.perturbations import FGSM, GradientAttack, Perturbation
from robustbench_zs.perturbations.attacks import Attack
from robustbench_zs.perturbations.make import make_attacks
from robustbench_zs.perturbations.native import Directions, faster_directions
from robustbench_zs.schemes import CoefficientLike
from robustbench_zs.schemes.table import scheme_columns
from robustbench_zs.system.environment import environment
from robustbench_zs.system.threads import torch_threads
from robustbench_zs.system.workers import Job, run_jobs
from robustbench_zs.training.checkpoint import Checkpoint, read_checkpoint
from robustbench_zs.training.execution import choose_execution
from robustbench_zs.training.zoo import own_checkpoints, zoo_checkpoints

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1

SMALL_WORK = 1e11
"""Multiply-adds that are done in this process: some ten seconds, about what worker processes take to import torch."""

USUAL_IMAGES = 10_000
"""Number of test images that a data set other than digits is taken to have, before it is read."""
DEFAULT_BATCH_SIZE = 256
DEFAULT_EPS = {"digits": "0.1", "mnist": "0.3", "fashion-mnist": "0.3"}
"""Default L∞ budget of an attack by dataset; 8/255 for all others."""
DEFAULT_L2_EPS = "0.5"

CheckpointLike = str | Path | Source
DatasetLike = str | Dataset
OnResult = Callable[[str, str], None]
"""Called with checkpoint and perturbation after each evaluation."""


Items = tuple[tuple[str, Perturbation | None], ...]


@dataclass(frozen=True)
class EvaluationTask:
    """Evaluate one network: `items` pairs a split with a perturbation (None: clean); the rest takes test images."""

    source: Source
    dataset: str | Dataset
    data_dir: str | None
    train_examples: int | None
    test_examples: int | None
    image_size: int | None
    items: Items
    store: str | None
    batch_size: int
    device: str
    threads: int
    probe: MaskingProbe | None = None
    curve: EpsSearch | None = None


Results = dict[tuple[str, Perturbation | None], Outcomes]


@dataclass(frozen=True)
class Evaluated:
    """What evaluating one network gave."""

    outcomes: Results
    evidence: Evidence | None
    distances: Distances | None = None
    warning: str | None = None
    directions: Directions = "float32"
    """Of attacks that left them open."""


def evaluate_one(task: EvaluationTask, send: Callable[[str], None]) -> Evaluated:
    """Every item of a task, its probe and its curve, from the store where they are there, else computed and stored."""
    # A caller may be in inference mode, where no gradient would reach an image.
    with torch_threads(task.threads), torch.inference_mode(False):
        return _evaluate_one(task, send)


class _NotStoredError(Exception):
    """A result has to be computed."""


def stored(task: EvaluationTask, send: Callable[[str], None]) -> Evaluated | None:
    """What `evaluate_one` gives, where all of it is in the store."""
    if task.store is None or not ResultsStore(task.store).knows(Subject.of(task.source).digest):
        return None
    sent: list[str] = []
    try:
        with torch.inference_mode(False):  # the labels that are read here are kept, and gradients may want them
            found = _evaluate_one(task, sent.append, compute=False)
    except _NotStoredError:
        return None
    for label in sent:
        send(label)
    return found


def _evaluate_one(task: EvaluationTask, send: Callable[[str], None], compute: bool = True) -> Evaluated:
    subject = Subject.of(task.source)
    dataset = load_dataset(task.dataset, task.data_dir, task.train_examples, task.test_examples, task.image_size)
    for split in {split for split, _ in task.items}:
        subject.check_fits(dataset, split)
    store = ResultsStore(task.store) if task.store else None
    device = torch.device(task.device)
    warning = subject.unsteadiness(dataset, next(split for split, _ in task.items), device)
    results: Results = {}
    directions = _directions(task, subject, dataset, store)
    items = _with_directions(task.items, directions)

    def network() -> nn.Module:
        if not compute:
            raise _NotStoredError
        return subject.on(device)

    def recalled(split: str, perturbation: Perturbation | None, key: ResultKey) -> Outcomes | None:
        return results.get((split, perturbation)) or (store.get(key) if store else None)

    def outcomes(split: str, perturbation: Perturbation | None) -> Outcomes:
        data = dataset.split(split)
        key = ResultKey.of(subject.digest, data.digest, split, perturbation, len(data))
        found = recalled(split, perturbation, key)
        if found is None:
            if isinstance(perturbation, FGSM) and perturbation.engine == "native":
                fgsm(split)
                return results[split, perturbation]
            if searches(perturbation):
                climb(split, perturbation)
                return results[split, perturbation]
            before = standing(split, perturbation) if perturbation is not None else None
            start = time.perf_counter()
            found = measure(network(), data, perturbation, device=device, batch_size=task.batch_size, clean=before)
            if store:
                store.put(key, found, time.perf_counter() - start)
        results[split, perturbation] = found
        return found

    def standing(split: str, perturbation: Perturbation) -> Outcomes:
        """Before the perturbation: clean, and under the attacks that go before it."""
        before = outcomes(split, None)
        for attack in perturbation.prior if isinstance(perturbation, Attack) else ():
            before = before.where_also(outcomes(split, attack))
        return before

    def fgsm(split: str) -> None:
        """Measure FGSM at all ε of the task that are not known, from one gradient an image."""
        data = dataset.split(split)
        wanted = [p for s, p in items if s == split and isinstance(p, FGSM) and p.engine == "native"]
        keys = {p: ResultKey.of(subject.digest, data.digest, split, p, len(data)) for p in wanted}
        attacks = [p for p in wanted if recalled(split, p, keys[p]) is None]
        clean = outcomes(split, None)
        start = time.perf_counter()
        made = measure_fgsm(network(), data, attacks, device=device, batch_size=task.batch_size, clean=clean)
        for attack, found in made.items():
            results[split, attack] = found
            if store:
                store.put(keys[attack], found, (time.perf_counter() - start) / len(made))

    def climb(split: str, wanted: GradientAttack) -> None:
        """Measure what is not known of the longest ladder of the task that holds the attack, in one pass."""
        data = dataset.split(split)
        asked = [p for s, p in items if s == split]
        asked += [prior for p in asked if isinstance(p, Attack) for prior in p.prior]
        ladders = [p for p in asked if searches(p) and wanted in p.rungs]
        longest = max(ladders, key=lambda p: len(p.rungs), default=wanted)
        keys = [ResultKey.of(subject.digest, data.digest, split, rung, len(data)) for rung in longest.rungs]
        before, known = standing(split, longest), 0
        while longest.rungs[known] != wanted and (there := recalled(split, longest.rungs[known], keys[known])):
            before, known = there, known + 1
        start = time.perf_counter()
        made = measure_rungs(network(), data, longest, device=device, batch_size=task.batch_size, start=before, known=known)
        for key, (rung, found) in zip(keys[known:], made.items(), strict=True):
            results[split, rung] = found
            if store:
                store.put(key, found, (time.perf_counter() - start) / len(made))

    def probed(probe: MaskingProbe) -> Evidence:
        key = probe.key(subject.digest, dataset.test)
        evidence = store.evidence(key) if store else None
        if evidence is None:
            clean = outcomes("test", None)
            start = time.perf_counter()
            evidence = probe_network(network(), dataset.test, clean, probe, device=device, batch_size=task.batch_size)
            if store:
                store.put_evidence(key, evidence, time.perf_counter() - start)
        send("gradient masking")
        return evidence

    def searched(curve: EpsSearch) -> Distances:
        key = curve.key(subject.digest, dataset.test)
        distances = store.distances(key, len(dataset.test)) if store else None
        if distances is None:
            clean = outcomes("test", None)
            start = time.perf_counter()
            distances = smallest_eps(network(), dataset.test, clean, curve, device=device, batch_size=task.batch_size)
            if store:
                store.put_distances(key, distances, time.perf_counter() - start)
        send("smallest ε")
        return distances

    for asked, (split, perturbation) in zip(task.items, items, strict=True):
        results[asked] = outcomes(split, perturbation)
        send(perturbation.label if perturbation else f"clean {split}")
    evidence = probed(task.probe) if task.probe else None
    return Evaluated(results, evidence, searched(task.curve) if task.curve else None, warning, directions)


def _with_directions(items: Items, directions: Directions) -> Items:
    return tuple((split, p and p.with_directions(directions)) for split, p in items)


def _directions(task: EvaluationTask, subject: Subject, dataset: Dataset, store: ResultsStore | None) -> Directions:
    """Those of attacks that leave them open: float32 where all of them are known so, or where code is not ours, which may
    not bear bfloat16; else what is faster."""
    plain = [item for item in _with_directions(task.items, "float32") if item not in task.items]

    def known(split: str, perturbation: Perturbation | None) -> bool:
        data = dataset.split(split)
        key = ResultKey.of(subject.digest, data.digest, split, perturbation, len(data))
        return store is not None and store.get(key) is not None

    if not plain or not isinstance(task.source, Checkpoint) or all(known(*item) for item in plain):
        return "float32"
    return faster_directions(torch.device(task.device), dataset.test.shape)


def evaluate(
    checkpoints: CheckpointLike | Iterable[CheckpointLike] | None = None,
    perturbations: Sequence[Perturbation] = (),
    *,
    images: Any = None,
    labels: Any = None,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    split: Literal["train", "test"] = "test",
    examples: int | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str | None = None,
    threads: int | None = None,
    workers: int = 1,
    store: str | Path | None = DEFAULT_STORE,
    on_result: OnResult | None = None,
) -> pd.DataFrame:
    """Accuracy of each checkpoint under each perturbation; without perturbations, on clean images.

    Args:
        checkpoints: one or several of: files, `Checkpoint`s, `Model`s, modules on images in [0, 1]; all checkpoints below
            `checkpoints/` (trained on `dataset`, if given) by default, else the zoo's for `dataset`. A `Model` or module is
            evaluated afresh every time: its code is not in the digest of its weights.
        perturbations: noise and attacks from `robustbench_zs.perturbations`.
        images, labels: test images at hand instead of those of a dataset, see `dataset_of_arrays`; `dataset` names them.
        dataset: the one the checkpoint was trained on by default.
        examples: the first so many images of the split; all by default.
        batch_size, device, threads, workers: how it is computed; results do not depend on them (see `NEAR_TIE`), except
            that PGD's gradients are computed in what is faster on the device where it leaves that open.
        store: results of checkpoints found there are not computed again; None computes everything and stores nothing.

    Returns:
        One row a checkpoint and perturbation with the columns of `result_row`; accuracies in percent, drops in points.

    Raises:
        RequestError: no checkpoint, one that is not ours or does not fit the dataset, data that are not there.
        UnfinishedError: out of memory, disk full, store locked.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> frame = zs.evaluate([net], [zs.GaussianNoise(0.1), zs.PGD(0.1)], dataset="digits", examples=20)
        >>> list(frame["perturbation"])
        ['gaussian(delta=0.1)', 'pgd(eps=0.1, steps=10)']
    """
    dataset = images_at_hand(images, labels, dataset)
    found = resolve_checkpoints(checkpoints, dataset)
    items: Items = ((split, None), *((split, p) for p in perturbations))
    limits = {
        "train_examples": examples if split == "train" else None,
        "test_examples": examples if split == "test" else None,
    }
    results = run_sources(
        found, dataset, data_dir, [(items, limits)] * len(found), batch_size, device, threads, workers, store, on_result
    )
    rows = []
    for source, result in zip(found, results, strict=True):
        subject, clean = Subject.of(source), result.outcomes[split, None]
        name = dataset_label(dataset_of(source, dataset))
        for _, perturbation in _with_directions(items[1:] or items, result.directions):
            row = result_row(subject, name, split, perturbation, result.outcomes[split, perturbation], clean)
            rows.append({**row, "warning": result.warning})
    return frame_of_rows(rows)


def attack(
    checkpoints: CheckpointLike | Iterable[CheckpointLike] | None = None,
    kind: str = "pgd",
    *,
    eps: CoefficientLike | Sequence[CoefficientLike] | None = None,
    steps: int | None = None,
    step_size: CoefficientLike | None = None,
    restarts: int = 1,
    queries: int = 1000,
    seed: int = 1,
    engine: str | None = None,
    norm: str = "linf",
    loss: str = "ce",
    last: bool | None = None,
    ladder: bool = True,
    target: str | int | None = None,
    directions: str = "auto",
    images: Any = None,
    labels: Any = None,
    dataset: DatasetLike | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Robust accuracy of each checkpoint under an attack; rows and further options as for `evaluate`.

    Args:
        kind: `"fgsm"`, `"pgd"`, `"apgd"`, `"autoattack"`, or of its parts `"apgd-t"`, `"fab"` or `"square"`.
        eps: budget or budgets as fractions of the pixel range (`"8/255"` is accepted); by default 8/255, for MNIST 0.3, for
            digits 0.1, and for L2 0.5.
        steps: of PGD, also of the one before AutoAttack (10 by default), and of APGD, APGD-T and FAB (100).
        step_size (ε/4 by default): of PGD.
        restarts, norm (`"linf"`, `"l2"`), loss (`"ce"`, `"dlr"`, `"margin"`), ladder: of PGD and APGD, see `make_attacks`.
        target: of PGD and APGD, `"next"`, `"random"`, `"least-likely"` or the number of a class; only an image that is taken
            for it counts as fooled, see `PGD`.
        last: whether only PGD's last iterate counts; any one does by default.
        queries: of Square.
        seed: of all but FGSM.
        directions: what PGD's gradients are computed in, `"float32"` or `"bfloat16"`, see `PGD`; `"auto"`, the default, is
            bfloat16 where processor and image size make it faster, unless the store has all results in float32.
        engine: `"native"` (the default), `"foolbox"` (FGSM, PGD) or `"torchattacks"` (these, AutoAttack, Square).

    Raises:
        RequestError: as `evaluate`, and for an unknown attack or engine or a value out of range.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> frame = zs.attack([net], "fgsm", eps=[0.05, 0.1], dataset="digits", examples=20)
        >>> len(frame), bool((frame["accuracy"] <= frame["clean_accuracy"]).all())
        (2, True)
    """
    import pandas as pd

    dataset = images_at_hand(images, labels, dataset)
    found = resolve_checkpoints(checkpoints, dataset)
    groups: dict[str, list[Source]] = {}
    for source in found:
        groups.setdefault(dataset_label(dataset_of(source, dataset)), []).append(source)
    budgets: Sequence[Any] | None = (
        None if eps is None else list(eps) if isinstance(eps, Iterable) and not isinstance(eps, str) else [eps]
    )
    frames = []
    for name, group in groups.items():
        attacks = make_attacks(
            kind,
            budgets or [DEFAULT_L2_EPS if norm == "l2" else DEFAULT_EPS.get(name, "8/255")],
            steps=steps,
            step_size=step_size,
            restarts=restarts,
            queries=queries,
            seed=seed,
            engine=engine,
            norm=norm,
            loss=loss,
            last=last,
            ladder=ladder,
            target=target,
            directions=directions,
        )
        frames.append(evaluate(group, attacks, dataset=dataset, **options))
    return pd.concat(frames, ignore_index=True)


def gap(
    checkpoints: Iterable[CheckpointLike] | None = None,
    *,
    dataset: str | None = None,
    data_dir: str | Path | None = None,
    examples: int | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str | None = None,
    threads: int | None = None,
    workers: int = 1,
    store: str | Path | None = DEFAULT_STORE,
    on_result: OnResult | None = None,
) -> pd.DataFrame:
    """Generalization gap (§5.4): accuracy on the clean, unaugmented training images − test accuracy, in points.

    The training images are those the checkpoint was trained on; `examples` limits the test images. Errors as `evaluate`.

    Raises:
        RequestError: also if the training images at hand are not those of the checkpoint.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> frame = zs.gap([net], dataset="digits")
        >>> int(frame.loc[0, "train_examples"]), int(frame.loc[0, "test_examples"])
        (1437, 360)
    """
    found = resolve_checkpoints(checkpoints, dataset)
    plans = []
    for source in found:
        header = trained_on(source)
        limits = {"train_examples": header.train_examples if header else None, "test_examples": examples}
        if header:
            here = load_dataset(dataset or header.name, data_dir, **limits, image_size=header.resize_to)
            if here.train.digest != header.train_digest:
                name = Subject.of(source).checkpoint
                raise RequestError(f"the training images of {here.name} at hand are not those {name} was trained on")
        plans.append(((("train", None), ("test", None)), limits))
    results = run_sources(found, dataset, data_dir, plans, batch_size, device, threads, workers, store, on_result)
    return frame_of_rows(
        [
            {
                **gap_row(
                    Subject.of(source),
                    dataset_of(source, dataset),
                    result.outcomes["train", None],
                    result.outcomes["test", None],
                ),
                "warning": result.warning,
            }
            for source, result in zip(found, results, strict=True)
        ]
    )


def images_at_hand(images: Any, labels: Any, dataset: DatasetLike | None) -> DatasetLike | None:
    """The dataset of images and labels that were given; without them that which was asked for.

    Raises:
        RequestError: one without the other, or see `dataset_of_arrays`.
    """
    if images is None and labels is None:
        return dataset
    if images is None or labels is None:
        raise RequestError("images and labels go together")
    return dataset_of_arrays(images, labels, *([dataset] if isinstance(dataset, str) else []))


def dataset_of(source: Source, dataset: DatasetLike | None) -> DatasetLike:
    """The dataset asked for, else the one a checkpoint was trained on.

    Raises:
        RequestError: none was asked for, and the network is the user's own.
    """
    header = trained_on(source)
    if dataset is None and header is None:
        raise RequestError(
            "a model of your own needs the dataset to evaluate it on, for example --dataset cifar10 (from Python also "
            "images and labels)"
        )
    return dataset or (header.name if header else "")


def resolve_checkpoints(
    checkpoints: CheckpointLike | Iterable[CheckpointLike] | None, dataset: DatasetLike | None = None
) -> list[Source]:
    """The networks meant; without any, all checkpoints below `checkpoints/` that were trained on `dataset`, and where there
    are none, those of the zoo for it.

    Raises:
        RequestError: there is none; the sentence says how to get one.
    """
    if isinstance(checkpoints, (str, Path, Checkpoint, Model, nn.Module)):  # nn.Sequential is an iterable too
        checkpoints = [checkpoints]
    if checkpoints is not None:
        given = [read_checkpoint(c) if isinstance(c, (str, Path)) else c for c in checkpoints]
        if not given:
            raise RequestError("the list of checkpoints is empty; leave it out to use all below checkpoints/")
        return given
    label = None if dataset is None else dataset_label(dataset)
    # The zoo's networks need a dataset that is not embedded, so they are taken only where it is asked for.
    found: list[Source] = [*(own_checkpoints(label) or (zoo_checkpoints(label) if label else []))]
    if not found:
        trained_on = f" trained on {label}" if label else ""
        zoo = "" if dataset else ", ".join(sorted({c.header.dataset.name for c in zoo_checkpoints()}))
        instead = f", name a file, or give --dataset for the networks of the zoo ({zoo})" if zoo else ", or name a file"
        raise RequestError(
            f"there is no checkpoint{trained_on} below checkpoints/: train some with `zsbench train`{instead}"
        )
    return found


def dataset_label(dataset: DatasetLike) -> str:
    """The name of a dataset that may be given as a path."""
    if isinstance(dataset, Dataset):
        return dataset.name
    return Path(dataset).resolve().name if os.path.isdir(dataset) else dataset


def run_sources(
    sources: Sequence[Source],
    dataset: DatasetLike | None,
    data_dir: str | Path | None,
    plans: Sequence[tuple[Any, dict[str, int | None]]],
    batch_size: int,
    device: str | None,
    threads: int | None,
    workers: int,
    store: str | Path | None,
    on_result: OnResult | None,
    probes: Sequence[MaskingProbe | None] = (),
    curves: Sequence[EpsSearch | None] = (),
) -> list[Evaluated]:
    """Evaluate each network by its plan (items, and how many images of the splits) and, where given, its probe and curve."""
    batch_size = checked_batch_size(batch_size)
    execution = choose_execution(len(sources), device, threads, workers)
    tasks = [
        EvaluationTask(
            source=source,
            dataset=dataset_of(source, dataset),
            data_dir=None if data_dir is None else str(data_dir),
            image_size=header.resize_to if (header := trained_on(source)) else None,
            items=items,
            store=None if store is None or not isinstance(source, Checkpoint) else str(store),
            batch_size=batch_size,
            device=execution.device,
            threads=execution.threads,
            probe=probe,
            curve=curve,
            **limits,
        )
        for source, (items, limits), probe, curve in zip(
            sources, plans, probes or [None] * len(sources), curves or [None] * len(sources), strict=True
        )
    ]
    if store is not None:
        known = ResultsStore(store)
        for checkpoint in sources:
            if isinstance(checkpoint, Checkpoint):
                remember(known, checkpoint)
    names = [str(s.path) if isinstance(s, Checkpoint) else "model" for s in sources]

    def done(index: int, label: str) -> None:
        if on_result:
            on_result(names[index], label)

    results = [stored(task, partial(done, index)) for index, task in enumerate(tasks)]
    pending = [index for index, result in enumerate(results) if result is None]
    at_home = execution.device != "cpu" or sum(_work(tasks[i]) for i in pending) < SMALL_WORK
    jobs = [Job(evaluate_one, (tasks[index],)) for index in pending]
    # A module at hand stays in this process.
    workers = 1 if at_home or any(isinstance(s, nn.Module) for s in sources) else workers
    for place, result in run_jobs(jobs, workers, lambda place, label: done(pending[place], label)):
        results[pending[place]] = result
    return [result for result in results if result is not None]


def _work(task: EvaluationTask) -> float:
    """Multiply-adds of a task, at most: as if every weight acted on every pixel, and each step were three passes."""
    if not isinstance(task.source, Checkpoint):
        return math.inf
    height, width = task.source.header.dataset.image_size
    weights = sum(tensor.numel() for tensor in task.source.tensors.values())
    passes = sum(1 if p is None else 1 + 3 * getattr(p, "steps", 1) * getattr(p, "restarts", 1) for _, p in task.items)
    all_of_them = TEST_IMAGES if task.dataset == "digits" else USUAL_IMAGES
    images = max(task.test_examples or all_of_them, task.train_examples or 0)
    extra = 100 * (task.probe is not None) + 100 * (task.curve is not None)
    return float(weights * height * width * images * (passes + extra))


def checked_batch_size(batch_size: int) -> int:
    """Raises: RequestError: the batch size is out of range."""
    if not 1 <= batch_size <= 1_000_000:
        raise RequestError(f"the batch size must lie between 1 and 1000000, not {batch_size}")
    return int(batch_size)


def remember(store: ResultsStore, checkpoint: Checkpoint) -> None:
    """Note a checkpoint's header in the store; not that of rounded weights, which no training gives."""
    if checkpoint.header.rounded_from is not None:
        return
    store.remember_checkpoint(
        checkpoint.header.training_key, checkpoint.digest, checkpoint.path, checkpoint.header.model_dump_json()
    )


def _identity(subject: Subject) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "checkpoint": subject.checkpoint,
        "digest": subject.digest,
        "network": subject.network,
        "scheme": subject.scheme_name,
        **scheme_columns(subject.scheme),
        "block_moduli": subject.block_moduli,
        "train_digest": subject.train_digest,
        "recipe_digest": subject.recipe_digest,
    }


def result_row(
    subject: Subject, dataset: str, split: str, perturbation: Perturbation | None, outcomes: Outcomes, clean: Outcomes
) -> dict[str, Any]:
    """One row of results: accuracies in percent with the 95% Wilson interval, drop = clean − perturbed in points.

    `drop` is None for clean images with several answers, since that is another measure."""
    n = len(outcomes.correct)
    low, high = wilson_interval(int(outcomes.correct.sum()), n)
    return {
        **_identity(subject),
        "dataset": dataset,
        "split": split,
        "perturbation": "clean" if perturbation is None else perturbation.label,
        "engine": perturbation.engine_or_none if perturbation else None,
        "directions": perturbation.directions_or_none if perturbation else None,
        "seed": subject.seed,
        "perturbation_seed": perturbation.seed_or_none if perturbation else None,
        "examples": n,
        "classes": subject.classes,
        "clean_accuracy": clean.accuracy,
        "accuracy": outcomes.accuracy,
        "ci_low": low,
        "ci_high": high,
        "drop": clean.accuracy - outcomes.accuracy if perturbation is None or perturbation.kind != "clean" else None,
        **_origin(outcomes),
    }


def _origin(outcomes: Outcomes) -> dict[str, Any]:
    """On which images, and with which libraries and hardware."""
    made = json.loads(outcomes.environment) if outcomes.environment else environment()
    return {"dataset_digest": outcomes.dataset_digest, "environment": made}


def curve_row(subject: Subject, dataset: str, clean: Outcomes, distances: Distances, how: EpsSearch) -> dict[str, Any]:
    """One row of robust accuracy against ε, see `curve_of`."""
    return {
        **_identity(subject),
        "dataset": dataset,
        "seed": subject.seed,
        "norm": how.norm,
        "steps": how.steps,
        "examples": len(distances),
        "clean_accuracy": clean.accuracy,
        **curve_of(distances, how.eps),
    }


def gap_row(subject: Subject, dataset: DatasetLike, train: Outcomes, test: Outcomes) -> dict[str, Any]:
    """One row of the generalization gap, with Wilson intervals of both accuracies and Newcombe's of their difference."""
    counts = [(int(o.correct.sum()), len(o.correct)) for o in (train, test)]
    (train_low, train_high), (test_low, test_high) = (wilson_interval(*c) for c in counts)
    gap_low, gap_high = newcombe_interval(*counts[0], *counts[1])
    return {
        **_identity(subject),
        "dataset": dataset_label(dataset),
        "seed": subject.seed,
        "train_examples": counts[0][1],
        "train_accuracy": train.accuracy,
        "train_ci_low": train_low,
        "train_ci_high": train_high,
        "test_examples": counts[1][1],
        "test_accuracy": test.accuracy,
        "test_ci_low": test_low,
        "test_ci_high": test_high,
        "gap": train.accuracy - test.accuracy,
        "gap_ci_low": gap_low,
        "gap_ci_high": gap_high,
        **_origin(test),
    }


def frame_of_rows(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a frame; the nullable columns are nullable integers."""
    import pandas as pd

    # nullable integers: a missing seed stays null instead of turning the whole column into floats with NaN
    frame = pd.DataFrame(rows)
    identity = ("scheme", "moduli", "zero_stable", "block_moduli", "train_digest", "recipe_digest")
    for column in (*identity, "dataset", "engine", "directions", "flagged", "warning"):
        if column in frame:  # a missing text stays None instead of becoming NaN
            frame[column] = pd.Series([row[column] for row in rows], dtype=object)
    return frame.astype({c: "Int64" for c in ("seed", "perturbation_seed", "classes") if c in frame})
