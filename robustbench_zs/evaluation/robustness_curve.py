"""Robust accuracy against ε: the function behind `zsbench curve`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_zs.evaluation.evaluate import (
    DEFAULT_BATCH_SIZE,
    CheckpointLike,
    DatasetLike,
    OnResult,
    curve_row,
    dataset_label,
    dataset_of,
    frame_of_rows,
    resolve_checkpoints,
    run_sources,
)
from robustbench_zs.evaluation.smallest_eps import DEFAULT_STEPS, EpsSearch
from robustbench_zs.evaluation.store import DEFAULT_STORE
from robustbench_zs.evaluation.subject import Subject
from robustbench_zs.perturbations import parse_number
from robustbench_zs.perturbations.attacks import LARGEST_EPS
from robustbench_zs.schemes import CoefficientLike

if TYPE_CHECKING:
    import pandas as pd

LARGEST_BY_DATASET = {"digits": "0.3", "mnist": "0.5", "fashion-mnist": "0.5"}
"""Largest L∞ ε that is tried, by dataset; 16/255 for all others."""
LARGEST_L2 = "2"


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
        eps: the largest that is tried; by default 16/255, for MNIST 0.5, for digits 0.3, for L2 2.
        steps, norm: of the search, see `EpsSearch`.
        checkpoints and the others: as for `evaluate`.

    Returns:
        One row a network, see `curve_row`.

    Raises:
        RequestError, UnfinishedError: as `evaluate`.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> frame = zs.robustness_curve([net], eps=0.2, steps=5, dataset="digits", examples=20)
        >>> int(frame.loc[0, "examples"])
        20
    """
    found = resolve_checkpoints(checkpoints, dataset)
    names = [dataset_of(source, dataset) for source in found]

    def how(name: DatasetLike) -> EpsSearch:
        largest = (
            eps if eps is not None else LARGEST_L2 if norm == "l2" else LARGEST_BY_DATASET.get(dataset_label(name), "16/255")
        )
        return EpsSearch(parse_number(largest, "eps", 0, LARGEST_EPS.get(norm, 1.0), open_low=True), norm, steps)

    curves = [how(name) for name in names]
    plans = [((("test", None),), {"train_examples": None, "test_examples": examples})] * len(found)
    results = run_sources(
        found, dataset, data_dir, plans, batch_size, device, threads, workers, store, on_result, curves=curves
    )
    rows = []
    for source, name, result, searched in zip(found, names, results, curves, strict=True):
        assert result.distances is not None
        clean = result.outcomes["test", None]
        row = curve_row(Subject.of(source), dataset_label(name), clean, result.distances, searched)
        rows.append({**row, "warning": result.warning})
    return frame_of_rows(rows)
