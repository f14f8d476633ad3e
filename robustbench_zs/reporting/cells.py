"""Numbers, intervals and verdicts as the text of cells, and tables as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from robustbench_zs.system.files import canonical_json


def spread(mean: float | None, std: float | None) -> str:
    """`"78.29 ± 0.09"`; without the deviation where there is one seed only, `"–"` where there is no number."""
    if mean is None or pd.isna(mean):
        return "–"
    text = f"{mean:.2f}"
    text = "0.00" if text == "-0.00" else text
    return text if std is None or pd.isna(std) else f"{text} ± {std:.2f}"


def interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """`"[60.2, 70.0]"`, `"–"` where it cannot be computed."""
    return "–" if low is None or high is None or pd.isna(low) or pd.isna(high) else f"[{low:.{digits}f}, {high:.{digits}f}]"


def moduli_text(moduli: Sequence[float] | None) -> str:
    """`"1.84, 0.74, 0.74"`, with a minus-free zero and two decimals as in the paper."""
    return "–" if moduli is None else ", ".join(f"{m:.2f}" for m in moduli)


def verdict(zero_stable: bool | None) -> str:
    """The column Zero-stable."""
    return "–" if zero_stable is None else "yes" if zero_stable else "no"


def estimate(value: float | None, low: float | None, high: float | None, digits: int = 2) -> str:
    """`"−0.83 [−0.99, 0.42]"`; without the interval where there is none, `"–"` where there is no number."""
    if value is None or pd.isna(value):
        return "–"
    bounds = interval(low, high, digits)
    return (f"{value:.{digits}f}" + ("" if bounds == "–" else f" {bounds}")).replace("-", "−")


def flat_cell(column: str, value: Any) -> Any:
    """A cell of a CSV file: lists as text, numbers apart by spaces, roots as complex numbers, blocks apart by semicolons;
    tables as JSON."""
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(part, dict) for part in value)):
        return canonical_json(value)
    if not isinstance(value, list):
        return value
    if column == "roots":
        return " ".join(f"{real!r}{imaginary:+}j" for real, imaginary in value)
    if column == "block_moduli":
        return "; ".join(" ".join(map(str, block or [])) for block in value)
    return " ".join(map(str, value))


def csv_ready(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with lists and tables as text."""
    columns = [str(c) for c in frame if any(isinstance(v, (list, dict)) for v in frame[c])]
    return frame.assign(**{c: pd.Series([flat_cell(c, v) for v in frame[c]], frame.index, object) for c in columns})


_NUMBER = re.compile(r"(?:[\d.,;+\-−–±\[\]()<>%*/⚑ ]|of|and|ok)*")


def numeric_columns(table: pd.DataFrame) -> list[bool]:
    """For each column, whether all its cells are numbers, intervals or dashes, which are aligned right."""
    return [all(_NUMBER.fullmatch(str(cell)) for cell in table.iloc[:, i]) for i in range(len(table.columns))]


def markdown(table: pd.DataFrame) -> str:
    """A table in GitHub's Markdown, numbers and intervals aligned right; pipes and line breaks in cells are escaped."""

    def cell(value: object) -> str:
        return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")

    lines = [
        "| " + " | ".join(cell(c) for c in table.columns) + " |",
        "|" + "|".join("--:" if numeric else "---" for numeric in numeric_columns(table)) + "|",
        *("| " + " | ".join(cell(v) for v in row) + " |" for row in table.itertuples(index=False)),
    ]
    return "\n".join(lines)
