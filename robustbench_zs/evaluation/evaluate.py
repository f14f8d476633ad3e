"""Accuracies under perturbations: the functions behind `zsbench evaluate`, `attack` and `gap`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.answer import OnResult, answer
from robustbench_zs.evaluation.questions.accuracy import Accuracy
from robustbench_zs.evaluation.rows import frame_of_rows, gap_row, result_row
from robustbench_zs.evaluation.sources import (
    CheckpointLike,
    DatasetLike,
    dataset_label,
    dataset_of,
    default_eps,
    images_at_hand,
    images_of,
    resolve_checkpoints,
)
from robustbench_zs.evaluation.store import DEFAULT_STORE
from robustbench_zs.evaluation.subject import Source, Subject, trained_on
from robustbench_zs.perturbations import Perturbation
from robustbench_zs.perturbations.make import attack_parameters, make_attacks
from robustbench_zs.schemes import CoefficientLike
from robustbench_zs.training.execution import DEFAULT_BATCH_SIZE, Compute

if TYPE_CHECKING:
    import pandas as pd


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
        examples: number of images from the front of the split; all by default.
        batch_size, device, threads, workers: how it is computed; results do not depend on them (see `NEAR_TIE`), except
            that PGD's gradients are computed in what is faster on the device where it leaves that open.
        store: results of checkpoints found there are not computed again; None computes everything and stores nothing.

    Returns:
        One row per checkpoint and perturbation with the columns of `result_row`; accuracies in percent, drops in points.

    Raises:
        RequestError: there is no checkpoint, it is not one of zsbench or does not fit the dataset, or the data are missing.
        UnfinishedError: memory ran out, the disk is full, or the store is locked.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> frame = zs.evaluate([net], [zs.GaussianNoise(0.1), zs.PGD(0.1)], dataset="digits", examples=20)
        >>> list(frame["perturbation"])
        ['gaussian(delta=0.1)', 'pgd(eps=0.1, steps=10)']
    """
    dataset = images_at_hand(images, labels, dataset)
    found = resolve_checkpoints(checkpoints, dataset)
    questions = [Accuracy(p, split) for p in (None, *perturbations)]
    counts = (None, examples) if split == "train" else (examples, None)
    asked = [(source, images_of(source, dataset, data_dir, *counts), questions) for source in found]
    rows = []
    for (source, about, _), result in zip(
        asked, answer(asked, Compute(device, threads, workers, batch_size), store, on_result), strict=True
    ):
        subject, name = Subject.of(source), dataset_label(about.dataset)
        for question in questions[1:] or questions:
            settled = question.with_directions(result.directions)
            row = result_row(subject, name, split, settled.perturbation, result[settled], result[questions[0]])
            rows.append({**row, "warning": result.warning})
    return frame_of_rows(rows)


def attack(
    checkpoints: CheckpointLike | Iterable[CheckpointLike] | None = None,
    kind: str = "pgd",
    *,
    eps: CoefficientLike | Sequence[CoefficientLike] | None = None,
    images: Any = None,
    labels: Any = None,
    dataset: DatasetLike | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Robust accuracy of each checkpoint under an attack by name, in rows as those of `evaluate`.

    It is short for `evaluate` with attacks as values, such as `evaluate(checkpoints, PGD.ladder("2/255", "8/255"))`.

    Args:
        kind: `"fgsm"`, `"pgd"`, `"apgd"`, `"autoattack"`, or of its parts `"apgd-t"`, `"fab"` or `"square"`.
        eps: budget or budgets as fractions of the pixel range (`"8/255"` is accepted); by default 8/255, for MNIST 0.3, for
            digits 0.1, and for L2 0.5. Several budgets of an iterative attack form a ladder unless `ladder` is False.
        options: parameters of the attack by name, such as `steps` or `norm`, see its class (`zs.PGD`, …), and options of
            `evaluate`.

    Raises:
        RequestError: as `evaluate`, or the attack is unknown, lacks a parameter, or a value is out of range.

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
    said = {name: options.pop(name) for name in attack_parameters() if name in options}
    frames = []
    for name, group in groups.items():
        attacks = make_attacks(kind, budgets or [default_eps(name, said.get("norm"))], **said)
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
        RequestError: as `evaluate`, or the training images found are not those of the checkpoint.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> frame = zs.gap([net], dataset="digits")
        >>> int(frame.loc[0, "train_examples"]), int(frame.loc[0, "test_examples"])
        (1437, 360)
    """
    found = resolve_checkpoints(checkpoints, dataset)
    asked = []
    for source in found:
        header = trained_on(source)
        images = images_of(source, dataset, data_dir, examples, header.train_examples if header else None)
        if header and images.load().train.digest != header.train_digest:
            name, there = Subject.of(source).checkpoint, images.load().name
            raise RequestError(f"the training images of {there} here are not those that {name} was trained on")
        asked.append((source, images, (Accuracy(split="train"), Accuracy())))
    results = answer(asked, Compute(device, threads, workers, batch_size), store, on_result)
    rows = []
    for (source, images, (train, test)), result in zip(asked, results, strict=True):
        row = gap_row(Subject.of(source), dataset_label(images.dataset), result[train], result[test])
        rows.append({**row, "warning": result.warning})
    return frame_of_rows(rows)
