"""`masking`: probe networks for gradient masking."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_zs.analysis.masking import masking_checks, masking_rows
from robustbench_zs.evaluation.answer import OnResult, answer
from robustbench_zs.evaluation.questions.accuracy import Accuracy
from robustbench_zs.evaluation.questions.masking import MaskingProbe
from robustbench_zs.evaluation.rows import SCHEMA_VERSION, frame_of_rows
from robustbench_zs.evaluation.sources import (
    CheckpointLike,
    DatasetLike,
    dataset_label,
    default_eps,
    images_of,
    resolve_checkpoints,
)
from robustbench_zs.evaluation.store import DEFAULT_STORE
from robustbench_zs.evaluation.subject import Subject
from robustbench_zs.perturbations.attacks import DEFAULT_ENGINE
from robustbench_zs.schemes import CoefficientLike
from robustbench_zs.training.execution import DEFAULT_BATCH_SIZE, Compute

if TYPE_CHECKING:
    import pandas as pd


def masking(
    checkpoints: CheckpointLike | Iterable[CheckpointLike] | None = None,
    *,
    eps: CoefficientLike | None = None,
    images: int = 200,
    steps: int = 10,
    queries: int = 1000,
    seed: int = 1,
    engine: str = DEFAULT_ENGINE,
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
    """Check each network for gradient masking; the function behind `zsbench masking`.

    Args:
        eps: L∞ budget; by default 8/255, for MNIST 0.3 and for digits 0.1.
        images: number of test images that are attacked: the first ones that the network classifies correctly.
        steps, queries, seed, engine: see `MaskingProbe`.
        checkpoints and the others: as for `evaluate`.

    Returns:
        One row per network and check: `schema_version, checkpoint, digest, network, seed, dataset, eps, images, check,
        flagged, finding, warning`; `flagged` is null where a check was not made. For checks and thresholds see
        `analysis.masking`.

    Raises:
        RequestError, UnfinishedError: as `evaluate`.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> frame = zs.masking([net], images=5, steps=5, queries=10, dataset="digits")
        >>> sorted(frame["check"])[:2]
        ['black_box_wins', 'fgsm_beats_pgd']
    """
    asked = []
    for source in resolve_checkpoints(checkpoints, dataset):
        about = images_of(source, dataset, data_dir, examples)
        budget = eps or default_eps(dataset_label(about.dataset))
        asked.append((source, about, (Accuracy(), MaskingProbe(budget, images, steps, queries, seed, engine))))  # type: ignore[arg-type]
    results = answer(asked, Compute(device, threads, workers, batch_size), store, on_result)
    rows = []
    for (source, about, (_, probe)), result in zip(asked, results, strict=True):
        subject, evidence = Subject.of(source), result[probe]
        common = {"schema_version": SCHEMA_VERSION, "checkpoint": subject.checkpoint, "digest": subject.digest}
        facts = {"dataset": dataset_label(about.dataset), "eps": evidence.eps, "images": evidence.images}
        for row in masking_rows(subject.network, subject.seed, masking_checks(evidence)):
            rows.append(
                {**common, "network": row.pop("network"), "seed": row.pop("seed"), **facts, **row, "warning": result.warning}
            )
    return frame_of_rows(rows)
