"""Resolves which networks and which images a request is about."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import nn

from robustbench_zs.datasets import Dataset, dataset_of_arrays
from robustbench_zs.datasets.known import KNOWN, OTHER
from robustbench_zs.datasets.load import Images
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.model import Model
from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.evaluation.subject import Source, trained_on
from robustbench_zs.training.checkpoint import Checkpoint, read_checkpoint
from robustbench_zs.training.zoo import own_checkpoints, zoo_checkpoints

CheckpointLike = str | Path | Source
DatasetLike = str | Dataset


def default_eps(dataset: str, norm: str | None = None) -> str:
    """The budget of an attack where none is given: that of the dataset, and 0.5 for L2."""
    return "0.5" if norm == "l2" else KNOWN.get(dataset, OTHER).eps


def images_at_hand(images: Any, labels: Any, dataset: DatasetLike | None) -> DatasetLike | None:
    """The dataset of images and labels that were given; without them that which was asked for.

    Raises:
        RequestError: one without the other, or see `dataset_of_arrays`.
    """
    if images is None and labels is None:
        return dataset
    if images is None or labels is None:
        raise RequestError("images and labels must be given together")
    return dataset_of_arrays(images, labels, *([dataset] if isinstance(dataset, str) else []))


def dataset_of(source: Source, dataset: DatasetLike | None) -> DatasetLike:
    """The dataset asked for, else the one a checkpoint was trained on.

    Raises:
        RequestError: none was asked for, and the network is the user's own.
    """
    header = trained_on(source)
    if dataset is None and header is None:
        raise RequestError(
            "a model of your own needs a dataset, such as cifar10, to be evaluated on (in Python also images and labels)"
        )
    return dataset or (header.name if header else "")


def resolve_checkpoints(
    checkpoints: CheckpointLike | Iterable[CheckpointLike] | None, dataset: DatasetLike | None = None
) -> list[Source]:
    """The networks meant; without any, all checkpoints below `checkpoints/` that were trained on `dataset`, and where there
    are none, those of the zoo for it.

    Raises:
        RequestError: there is none; the message says how to get one.
    """
    if isinstance(checkpoints, (str, Path, Checkpoint, Model, nn.Module)):  # nn.Sequential is an iterable too
        checkpoints = [checkpoints]
    if checkpoints is not None:
        given = [read_checkpoint(c) if isinstance(c, (str, Path)) else c for c in checkpoints]
        if not given:
            raise RequestError("the list of checkpoints is empty: leave it out to use all below checkpoints/")
        return given
    label = None if dataset is None else dataset_label(dataset)
    # The zoo's networks need a dataset that is not embedded, so they are taken only where it is asked for.
    found: list[Source] = [*(own_checkpoints(label) or (zoo_checkpoints(label) if label else []))]
    if not found:
        trained_on = f" trained on {label}" if label else ""
        zoo = "" if dataset else ", ".join(sorted({c.header.dataset.name for c in zoo_checkpoints()}))
        instead = f", give a file, or choose a dataset of the zoo ({zoo})" if zoo else ", or give a file"
        raise RequestError(
            f"there is no checkpoint{trained_on} below checkpoints/: train some with `zsbench train`{instead}"
        )
    return found


def dataset_label(dataset: DatasetLike) -> str:
    """The name of a dataset that may be given as a path."""
    if isinstance(dataset, Dataset):
        return dataset.name
    return Path(dataset).resolve().name if os.path.isdir(dataset) else dataset


def images_of(
    source: Source,
    dataset: DatasetLike | None,
    data_dir: str | Path | None,
    test_examples: int | None = None,
    train_examples: int | None = None,
) -> Images:
    """The images to evaluate a network on, of the size that it was trained with; see `dataset_of`."""
    header = trained_on(source)
    folder = None if data_dir is None else str(data_dir)
    return Images(dataset_of(source, dataset), folder, train_examples, test_examples, header.resize_to if header else None)


def remember(store: ResultsStore, checkpoint: Checkpoint) -> None:
    """Note a checkpoint that a user named in the store; not one of rounded weights, which no training gives."""
    if checkpoint.header.rounded_from is None:
        remember_trained(store, checkpoint)


def remember_trained(store: ResultsStore, checkpoint: Checkpoint) -> None:
    """Note the checkpoint in the place of a training, rounded or not: it is what a study's report is about."""
    store.remember_checkpoint(
        checkpoint.header.training_key, checkpoint.digest, checkpoint.path, checkpoint.header.model_dump_json()
    )
