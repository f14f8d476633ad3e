"""Rows of results: what is known of a network, and what was found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from robustbench_zs.evaluation.intervals import newcombe_interval, wilson_interval
from robustbench_zs.evaluation.outcomes import Outcomes
from robustbench_zs.evaluation.questions.smallest_eps import Distances, EpsSearch, curve_of
from robustbench_zs.evaluation.subject import Subject
from robustbench_zs.perturbations import Perturbation
from robustbench_zs.schemes.table import scheme_columns
from robustbench_zs.system.environment import environment

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1


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


def gap_row(subject: Subject, dataset: str, train: Outcomes, test: Outcomes) -> dict[str, Any]:
    """One row of the generalization gap, with Wilson intervals of both accuracies and Newcombe's of their difference."""
    counts = [(int(o.correct.sum()), len(o.correct)) for o in (train, test)]
    (train_low, train_high), (test_low, test_high) = (wilson_interval(*c) for c in counts)
    gap_low, gap_high = newcombe_interval(*counts[0], *counts[1])
    return {
        **_identity(subject),
        "dataset": dataset,
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
