"""Decides which results may be compared: networks that differ in more than their schemes say little about schemes."""

from __future__ import annotations

import pandas as pd

from robustbench_zs.errors import RequestError
from robustbench_zs.system.files import canonical_json

MUST_AGREE = {
    "dataset_digest": "sets of images",
    "train_digest": "sets of training images",
    "recipe_digest": "recipes",
}
SHOULD_AGREE = {"environment": "versions of libraries or kinds of hardware"}


def differences(results: pd.DataFrame, columns: dict[str, str]) -> list[str]:
    """What the rows differ in, among columns of `evaluation.result_row`: such as "2 recipes"; a null is no difference.

    Rows of different splits are on different images by intention.
    """
    found = []
    for column, what in columns.items():
        if column in results:
            texts = results[column].map(canonical_json, na_action="ignore")
            most = int(texts.groupby(results["split"]).nunique().max()) if "split" in results else texts.nunique()
            if most > 1:
                found.append(f"{most} {what}")
    return found


def check_comparable(results: pd.DataFrame) -> None:
    """Refuse rows on different images, or of networks trained on different images or by different recipes.

    Raises:
        RequestError: the rows differ in one of these.
    """
    if found := differences(results, MUST_AGREE):
        raise RequestError(
            f"these results cannot be compared in one table, because they come from {' and '.join(found)}: choose rows "
            f"that agree in {', '.join(MUST_AGREE)}"
        )


def mark(results: pd.DataFrame) -> str | None:
    """A sentence for a table of results that differ in more than schemes and seeds; None where they do not."""
    found = differences(results, MUST_AGREE | SHOULD_AGREE)
    return f"Compare with care: these rows come from {' and '.join(found)}." if found else None
