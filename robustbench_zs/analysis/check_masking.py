"""`masking`: probe networks for gradient masking."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_zs.analysis.masking import masking_checks, masking_rows
from robustbench_zs.evaluation.evaluate import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_EPS,
    SCHEMA_VERSION,
    CheckpointLike,
    DatasetLike,
    OnResult,
    dataset_label,
    dataset_of,
    frame_of_rows,
    resolve_checkpoints,
    run_sources,
)
from robustbench_zs.evaluation.masking import MaskingProbe
from robustbench_zs.evaluation.store import DEFAULT_STORE
from robustbench_zs.evaluation.subject import Subject
from robustbench_zs.perturbations.attacks import DEFAULT_ENGINE
from robustbench_zs.schemes import CoefficientLike

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
        images: the first so many test images that the network classifies correctly are attacked.
        steps, queries, seed, engine: see `MaskingProbe`.
        checkpoints and the others: as for `evaluate`.

    Returns:
        One row a network and check: `schema_version, checkpoint, digest, network, seed, dataset, eps, images, check,
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
    found = resolve_checkpoints(checkpoints, dataset)
    names = [dataset_of(source, dataset) for source in found]
    probes = [
        MaskingProbe(eps or DEFAULT_EPS.get(dataset_label(name), "8/255"), images, steps, queries, seed, engine)  # type: ignore[arg-type]
        for name in names
    ]
    plans = [((("test", None),), {"train_examples": None, "test_examples": examples})] * len(found)
    results = run_sources(found, dataset, data_dir, plans, batch_size, device, threads, workers, store, on_result, probes)
    rows = []
    for source, name, result in zip(found, names, results, strict=True):
        subject, evidence = Subject.of(source), result.evidence
        assert evidence is not None
        common = {"schema_version": SCHEMA_VERSION, "checkpoint": subject.checkpoint, "digest": subject.digest}
        facts = {"dataset": dataset_label(name), "eps": evidence.eps, "images": evidence.images}
        for row in masking_rows(subject.network, subject.seed, masking_checks(evidence)):
            rows.append(
                {**common, "network": row.pop("network"), "seed": row.pop("seed"), **facts, **row, "warning": result.warning}
            )
    return frame_of_rows(rows)
