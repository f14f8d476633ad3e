"""Robust accuracy against ε: the function behind `zsbench curve`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_zs.datasets.known import KNOWN, OTHER
from robustbench_zs.evaluation.answer import OnResult, answer
from robustbench_zs.evaluation.questions.accuracy import Accuracy
from robustbench_zs.evaluation.questions.smallest_eps import DEFAULT_STEPS, EpsSearch
from robustbench_zs.evaluation.rows import curve_row, frame_of_rows
from robustbench_zs.evaluation.sources import CheckpointLike, DatasetLike, dataset_label, images_of, resolve_checkpoints
from robustbench_zs.evaluation.store import DEFAULT_STORE
from robustbench_zs.evaluation.subject import Subject
from robustbench_zs.perturbations import parse_number
from robustbench_zs.perturbations.attacks import MAX_EPS
from robustbench_zs.schemes import CoefficientLike
from robustbench_zs.training.execution import DEFAULT_BATCH_SIZE, Compute

if TYPE_CHECKING:
    import pandas as pd

MAX_L2 = "2"


def robustness_curve(
    checkpoints: CheckpointLike | Iterable[CheckpointLike] | None = None,
    *,
    eps: CoefficientLike | None = None,
    steps: int = DEFAULT_STEPS,
    norm: str = "linf",
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    examples: int | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str | None = None,
    threads: int | None = None,
    workers: int = 1,
    store: str | Path | None = DEFAULT_STORE,
    on_result: OnResult | None = None,
) -> pd.DataFrame:
    """Robust accuracy of each network against ε, from an upper bound on the smallest ε that fools each image.

    Args:
        eps: the largest ε that is tried; by default 16/255, for MNIST 0.5, for digits 0.3, for L2 2.
        steps, norm: of the search, see `EpsSearch`.
        checkpoints and the others: as for `evaluate`.

    Returns:
        One row per network, see `curve_row`.

    Raises:
        RequestError, UnfinishedError: as `evaluate`.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> frame = zs.robustness_curve([net], eps=0.2, steps=5, dataset="digits", examples=20)
        >>> int(frame.loc[0, "examples"])
        20
    """

    def search(name: str) -> EpsSearch:
        largest = eps if eps is not None else MAX_L2 if norm == "l2" else KNOWN.get(name, OTHER).max_eps
        return EpsSearch(parse_number(largest, "eps", 0, MAX_EPS.get(norm, 1.0), open_low=True), norm, steps)

    asked = []
    for source in resolve_checkpoints(checkpoints, dataset):
        images = images_of(source, dataset, data_dir, examples)
        asked.append((source, images, (Accuracy(), search(dataset_label(images.dataset)))))
    results = answer(asked, Compute(device, threads, workers, batch_size), store, on_result)
    rows = []
    for (source, images, (clean, curve)), result in zip(asked, results, strict=True):
        row = curve_row(Subject.of(source), dataset_label(images.dataset), result[clean], result[curve], curve)
        rows.append({**row, "warning": result.warning})
    return frame_of_rows(rows)
