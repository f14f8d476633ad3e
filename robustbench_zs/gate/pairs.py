"""Two networks on the same images: the gate's test without a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_zs.analysis.holm import holm
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.answer import answer
from robustbench_zs.evaluation.questions.accuracy import Accuracy
from robustbench_zs.evaluation.rows import frame_of_rows
from robustbench_zs.evaluation.sources import (
    CheckpointLike,
    DatasetLike,
    dataset_label,
    dataset_of,
    images_of,
    resolve_checkpoints,
)
from robustbench_zs.evaluation.store import DEFAULT_STORE
from robustbench_zs.evaluation.subject import Subject
from robustbench_zs.gate.paired import discordant, mcnemar
from robustbench_zs.perturbations import Perturbation
from robustbench_zs.training.execution import DEFAULT_BATCH_SIZE, Compute

if TYPE_CHECKING:
    import pandas as pd


def compare_networks(
    first: CheckpointLike,
    second: CheckpointLike,
    perturbations: Sequence[Perturbation] = (),
    *,
    alpha: float = 0.05,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    examples: int | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str | None = None,
    threads: int | None = None,
    workers: int = 1,
    store: str | Path | None = DEFAULT_STORE,
) -> pd.DataFrame:
    """Whether one of two networks gets more test images right, clean and under each perturbation.

    McNemar's exact two-sided test on the images that one of them alone gets right; Holm's correction runs over the rows.

    Args:
        alpha: level of all rows together.
        dataset: that of the first network by default.
        the others: as for `evaluate`.

    Returns:
        One row for clean images and one per perturbation: `first, second, dataset, perturbation, examples, first_accuracy,
        second_accuracy, difference` (second − first, points), `only_first, only_second` (images that one alone gets right),
        `p, adjusted_p, better` (the better network, null where none is shown), `warning`.

    Raises:
        RequestError, UnfinishedError: as `evaluate`; alpha is not between 0 and 1.

    Examples:
        >>> nets = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)) for _ in range(2)]
        >>> frame = zs.compare_networks(*nets, dataset="digits", examples=20, store=None)
        >>> frame["perturbation"].tolist()
        ['clean']
    """
    if not 0 < alpha < 1:
        raise RequestError(f"alpha must lie between 0 and 1, not {alpha!r}")
    sources = resolve_checkpoints([first, second], dataset)
    images = dataset_of(sources[0], dataset)
    questions = [Accuracy(p) for p in (None, *perturbations)]
    asked = [(source, images_of(source, images, data_dir, examples), questions) for source in sources]
    results = answer(asked, Compute(device, threads, workers, batch_size), store)
    names = [Subject.of(source).checkpoint for source in sources]
    warnings = [f"{name}: {result.warning}" for name, result in zip(names, results, strict=True) if result.warning]
    rows = []
    for question in questions:
        before, after = (result[question] for result in results)
        only_first, only_second = discordant(before.correct, after.correct)
        p = min(1.0, 2 * min(mcnemar(only_first, only_second), mcnemar(only_second, only_first)))
        rows.append(
            {
                "schema_version": 1,
                "first": names[0],
                "second": names[1],
                "dataset": dataset_label(images),
                "perturbation": question.perturbation_label,
                "examples": len(before.correct),
                "first_accuracy": before.accuracy,
                "second_accuracy": after.accuracy,
                "difference": after.accuracy - before.accuracy,
                "only_first": only_first,
                "only_second": only_second,
                "p": p,
            }
        )
    for row, adjusted in zip(rows, holm([float(row["p"]) for row in rows]), strict=True):  # type: ignore[arg-type]
        shown = adjusted is not None and adjusted < alpha
        better = names[0] if row["only_first"] > row["only_second"] else names[1]  # type: ignore[operator]
        row |= {"adjusted_p": adjusted, "better": better if shown else None, "warning": "; ".join(warnings) or None}
    return frame_of_rows(rows)
