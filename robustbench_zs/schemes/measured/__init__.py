"""What the atlas measured: `NAME.csv` of a dataset has one row per scheme; `benchmarks/atlas/export_atlas.py` writes it.

Columns: `scheme`, `depth`, `seeds`, `clean_accuracy` (percent), `gap` (points), `smallest_eps` (the mean of the images
classified correctly when clean, a fraction of the pixel range), and `lost_…` (the share of these images that a perturbation
costs, percent). Outcomes are means over seeds without trainings that diverged.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

Row = dict[str, float | None]


@cache
def measured() -> dict[str, dict[str, Row]]:
    """Data set → scheme → the columns of its row; empty as long as nothing is measured."""
    files = sorted(resources.files(__name__).iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".csv"): _rows(file.read_text("utf-8")) for file in files if file.name.endswith(".csv")}


def _rows(text: str) -> dict[str, Row]:
    return {
        row.pop("scheme"): {c: float(v) if v else None for c, v in row.items()} for row in csv.DictReader(text.splitlines())
    }
