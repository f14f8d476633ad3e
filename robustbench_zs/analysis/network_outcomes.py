"""How each network does, outcome by outcome: clean accuracy, generalization gap, and what perturbations cost it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from robustbench_zs.analysis.comparability import check_comparable
from robustbench_zs.analysis.images import ImageOutcomes
from robustbench_zs.analysis.summary import CLEAN, perturbed

MIN_MARGIN = 1.0
"""Points above chance that a network needs for a relative drop: the quotient of two near nothings says nothing."""

DROP = "drop"
RELATIVE_DROP = "relative drop"
SHARE_LOST = "share lost"
SMALLEST_EPS = "mean smallest ε"
CLEAN_ACCURACY = "clean accuracy"
GAP = "generalization gap"

ON_CLEAN_IMAGES = "clean images"
ROBUSTNESS = "robustness"
"""The two families of outcomes in which relations are tested; outcomes of no family are only described."""

COLUMNS = [
    *("network", "seed", "moduli", "zero_stable"),
    *("outcome", "kind", "family", "value", "shared", "clean_accuracy"),
]


def relative_drop(drop: float | None, clean_accuracy: float, classes: float | None) -> float | None:
    """drop / (clean accuracy − chance), chance = 100 / classes: 1 if all is lost that noise can take.

    None without a number of classes, and for a network less than `MIN_MARGIN` points above chance. An attack can take
    more than that, so its drops are not put in relation to it.
    """
    if _missing(drop) or _missing(classes) or _missing(clean_accuracy):
        return None
    assert drop is not None
    assert classes is not None
    margin = clean_accuracy - 100 / classes
    return drop / margin if margin >= MIN_MARGIN else None


def network_outcomes(results: pd.DataFrame, gaps: pd.DataFrame, images: ImageOutcomes | None = None) -> pd.DataFrame:
    """One row per network, seed and outcome.

    The outcomes of the family `ROBUSTNESS` are the mean smallest ε where it was searched, and the share of the images right
    when clean that is lost under each perturbation which that does not cover.

    Args:
        results: one row per network and perturbation, clean included, see `evaluation.result_row`; without `classes` no
            relative drops are given.
        gaps: one row per network, see `evaluation.gap_row`; may be empty.
        images: the networks of `results` image by image. Without it the share lost is drop / clean accuracy, which is the
            same under attacks and leaves out, under noise, what was wrong and became right.

    Returns:
        `network`, `seed`, `moduli`, `zero_stable`, `outcome` (the kind, and the label of the perturbation), `kind`, `family`
        (null where the outcome is only described), `value` (percent, points, a fraction of the pixel range for ε, a share
        for relative drops), `shared` (the value on images that nearly all networks classify correctly, see
        `ImageOutcomes`; null where unknown), `clean_accuracy`. Rows without a value are left out.

    Raises:
        RequestError: the results come from different images or recipes, see `check_comparable`.
    """
    check_comparable(results)
    made = [*_on_clean_images(results, gaps), *_robustness(results, images)]
    rows = [row for row in made if not _missing(row["value"])]
    frame = pd.DataFrame(rows, columns=COLUMNS).astype({"value": float, "shared": float})
    return frame.assign(
        **{c: pd.Series([row[c] for row in rows], frame.index, object) for c in ("zero_stable", "moduli", "family")}
    )


def _on_clean_images(results: pd.DataFrame, gaps: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in results[results["perturbation"] == CLEAN].to_dict("records"):
        yield _row(row, CLEAN_ACCURACY, ON_CLEAN_IMAGES, row["accuracy"], clean=row["accuracy"])
    for row in gaps.to_dict("records"):
        yield _row(row, GAP, ON_CLEAN_IMAGES, row["gap"], clean=row.get("test_accuracy"))


def _robustness(results: pd.DataFrame, images: ImageOutcomes | None) -> Iterator[dict[str, Any]]:
    if images is not None and images.largest_eps is not None:
        for row in results[results["perturbation"] == CLEAN].to_dict("records"):
            values = [images.mean_smallest_eps(row["digest"], shared) for shared in (False, True)]
            yield _row(row, SMALLEST_EPS, ROBUSTNESS, *values, clean=row["accuracy"])
    changed = perturbed(results).to_dict("records")
    for row in changed:
        label = row["perturbation"]
        family = None if images is not None and label in images.covered else ROBUSTNESS
        yield _row(row, SHARE_LOST, family, *_shares_lost(row, images), clean=row["clean_accuracy"], label=label)
    for row in changed:
        yield _row(row, DROP, None, row["drop"], clean=row["clean_accuracy"], label=row["perturbation"])
    for row in changed:
        if _missing(row.get("engine")):
            value = relative_drop(row["drop"], row["clean_accuracy"], row.get("classes"))
            yield _row(row, RELATIVE_DROP, None, value, clean=row["clean_accuracy"], label=row["perturbation"])


def _shares_lost(row: dict[Any, Any], images: ImageOutcomes | None) -> tuple[float | None, float | None]:
    if images is not None:
        digest, label = row["digest"], row["perturbation"]
        return images.share_lost(digest, label), images.share_lost(digest, label, shared=True)
    clean = row["clean_accuracy"]
    return (None if _missing(row["drop"]) or not clean else 100 * row["drop"] / clean), None


def _row(
    row: dict[Any, Any],
    kind: str,
    family: str | None,
    value: float | None,
    shared: float | None = None,
    *,
    clean: float | None,
    label: str = "",
) -> dict[str, Any]:
    return {
        "network": row["network"],
        "seed": row.get("seed"),
        "moduli": row["moduli"],
        "zero_stable": row["zero_stable"],
        "outcome": f"{kind}, {label}" if label else kind,
        "kind": kind,
        "family": family,
        "value": value,
        "shared": shared,
        "clean_accuracy": clean,
    }


def _missing(value: object) -> bool:
    return value is None or bool(pd.isna(value))  # type: ignore[call-overload]
