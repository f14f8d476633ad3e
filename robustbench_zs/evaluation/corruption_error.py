"""The mean corruption error: the function behind `zsbench corruptions`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robustbench_zs.datasets import load_dataset
from robustbench_zs.datasets.load import default_data_dir
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.evaluate import evaluate
from robustbench_zs.evaluation.rows import frame_of_rows
from robustbench_zs.evaluation.sources import CheckpointLike, dataset_label, dataset_of, resolve_checkpoints
from robustbench_zs.perturbations.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    GeneratedCorruption,
    PublishedCorruption,
    published_labels,
)
from robustbench_zs.perturbations.noise import DEFAULT_SEED

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = {"cifar10": ("CIFAR-10-C", "cifar10-c"), "cifar100": ("CIFAR-100-C", "cifar100-c")}
"""Folders of the published images, below the data folder, by dataset."""


def corruptions(
    checkpoints: Iterable[CheckpointLike] | None = None,
    *,
    generated: bool = False,
    types: Sequence[str] = CORRUPTIONS,
    severities: Sequence[int] = SEVERITIES,
    seed: int = DEFAULT_SEED,
    dataset: str | None = None,
    data_dir: str | Path | None = None,
    examples: int | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Accuracy of each network on corrupted test images, one row per network, corruption and severity.

    Args:
        generated: corrupt the images here (imagecorruptions, other strengths) instead of reading the published ones, from
            `DATA_DIR/CIFAR-10-C` or `cifar10-c`, for CIFAR-100 likewise.
        types, severities: all fifteen and all five by default, which the mean corruption error needs.
        seed: of generated corruptions.
        checkpoints and the others: as for `evaluate`.

    Returns:
        Rows of `evaluate` with `corruption`, `severity` and `images` (`"published"` or `"generated"`).

    Raises:
        RequestError, UnfinishedError: as `evaluate`, or if the published images are missing or their labels are not those
            of the test images, in their order.
    """
    import pandas as pd

    found = resolve_checkpoints(checkpoints, dataset)
    made = [(corruption, severity) for corruption in types for severity in severities]
    if not made or len(set(made)) < len(made):
        raise RequestError("give at least one corruption and one severity, and each of them only once")
    frames = []
    for name in dict.fromkeys(dataset_of(source, dataset) for source in found):
        group = [source for source in found if dataset_of(source, dataset) == name]
        folder = None if generated else str(_published_folder(dataset_label(name), data_dir, examples))
        perturbations = [
            GeneratedCorruption(c, s, seed) if folder is None else PublishedCorruption(c, s, folder) for c, s in made
        ]
        frame = evaluate(group, perturbations, dataset=name, data_dir=data_dir, examples=examples, **options)
        cells = made * len(group)
        frames.append(
            frame.assign(
                corruption=[c for c, _ in cells],
                severity=[s for _, s in cells],
                images="generated" if generated else "published",
            )
        )
    return pd.concat(frames, ignore_index=True)


def _published_folder(dataset: str, data_dir: str | Path | None, examples: int | None) -> Path:
    if dataset not in PUBLISHED:
        raise RequestError(
            f"there are no published corruptions of {dataset}: use generated ones, for images of at least 32×32 pixels"
        )
    base = Path(data_dir) if data_dir is not None else default_data_dir()
    folder = next((base / n for n in PUBLISHED[dataset] if (base / n).is_dir()), base / PUBLISHED[dataset][0])
    labels = published_labels(folder)
    here = load_dataset(dataset, data_dir, None, examples).test.labels.numpy()
    if len(here) > len(labels) or not np.array_equal(labels[: len(here)], here):
        raise RequestError(f"the labels in {folder} are not those of the test images of {dataset} here, or in another order")
    return folder


def mean_corruption_error(cells: pd.DataFrame) -> pd.DataFrame:
    """One row per network, from the rows of `corruptions`.

    Returns:
        The columns that tell networks apart, then `images`, `examples`, `clean_error`, `mean_corruption_error`: the error in
        percent, averaged over the fifteen types and five severities, not divided by another network's (as for CIFAR-10-C in
        Hendrycks et al. 2020); null unless all are there. `relative_error` is that less the clean error; `worst_type` is the
        type with the largest error over severities, `errors` maps each type to its error.
    """
    rows = []
    identity = ["schema_version", "checkpoint", "digest", "network", "scheme", "moduli", "zero_stable", "dataset", "seed"]
    for _, group in cells.groupby("digest", sort=False):
        error = (100 - group["accuracy"]).groupby(group["corruption"], sort=False).mean()
        complete = len(group) == len(CORRUPTIONS) * len(SEVERITIES)
        mean, clean = float(error.mean()), 100 - float(group["clean_accuracy"].iloc[0])
        first = group.iloc[0]
        rows.append(
            {
                **{c: first[c] for c in identity},
                "images": first["images"],
                "examples": first["examples"],
                "clean_error": clean,
                "mean_corruption_error": mean if complete else None,
                "relative_error": mean - clean if complete else None,
                "worst_type": str(error.idxmax()),
                "errors": {str(c): float(e) for c, e in error.items()},
            }
        )
    return frame_of_rows(rows)
