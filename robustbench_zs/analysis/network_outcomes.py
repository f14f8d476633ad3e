"""How each network does, outcome by outcome: clean accuracy, generalization gap, absolute and relative drops."""

from __future__ import annotations

from typing import Any

import pandas as pd

from robustbench_zs.analysis.comparability import check_comparable
from robustbench_zs.analysis.summary import CLEAN, perturbed

LEAST_MARGIN = 1.0
"""Points above chance that a network needs for a relative drop: the quotient of two near nothings says nothing."""

DROP = "drop"
RELATIVE_DROP = "relative drop"


def relative_drop(drop: float | None, clean_accuracy: float, classes: float | None) -> float | None:
    """drop / (clean accuracy − chance), chance = 100 / classes: 1 if all is lost that there was to lose.

    None without a number of classes, and for a network less than `LEAST_MARGIN` points above chance.
    """
    if _missing(drop) or _missing(classes) or _missing(clean_accuracy):
        return None
    assert drop is not None
    assert classes is not None
    margin = clean_accuracy - 100 / classes
    return drop / margin if margin >= LEAST_MARGIN else None


def network_outcomes(results: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    """One row a network, seed and outcome.

    Args:
        results: one row a network and perturbation, clean included, see `evaluation.result_row`; without `classes` no
            relative drops are given.
        gaps: one row a network, see `evaluation.gap_row`; may be empty.

    Returns:
        `network`, `seed`, `moduli`, `zero_stable`, `outcome` (`"clean accuracy"`, `"generalization gap"`, `"drop, LABEL"`,
        `"relative drop, LABEL"`), `kind` (the outcome without its label), `value` (percent, points, or a share for relative
        drops), `clean_accuracy`. Rows without a value are left out.

    Raises:
        RequestError: the results come from different images or recipes, see `check_comparable`.
    """
    check_comparable(results)
    rows: list[dict[str, Any]] = []

    def add(row: dict[str, Any], kind: str, value: float | None, clean: float | None, label: str = "") -> None:
        if _missing(value):
            return
        rows.append(
            {
                "network": row["network"],
                "seed": row.get("seed"),
                "moduli": row["moduli"],
                "zero_stable": row["zero_stable"],
                "outcome": f"{kind}, {label}" if label else kind,
                "kind": kind,
                "value": value,
                "clean_accuracy": clean,
            }
        )

    for row in results[results["perturbation"] == CLEAN].to_dict("records"):
        add({str(k): v for k, v in row.items()}, "clean accuracy", row["accuracy"], row["accuracy"])
    for row in gaps.to_dict("records"):
        add({str(k): v for k, v in row.items()}, "generalization gap", row["gap"], row.get("test_accuracy"))
    for kind in (DROP, RELATIVE_DROP):
        for row in perturbed(results).to_dict("records"):
            clean = row["clean_accuracy"]
            value = row["drop"] if kind == DROP else relative_drop(row["drop"], clean, row.get("classes"))
            add({str(k): v for k, v in row.items()}, kind, value, clean, row["perturbation"])
    columns = ["network", "seed", "moduli", "zero_stable", "outcome", "kind", "value", "clean_accuracy"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(zero_stable=pd.Series([r["zero_stable"] for r in rows], frame.index, object))


def _missing(value: object) -> bool:
    return value is None or bool(pd.isna(value))  # type: ignore[call-overload]
