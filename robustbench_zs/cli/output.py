"""Prints results: as a table for people, as JSON or CSV on a clean standard output for programs."""

from __future__ import annotations

import codecs
import io
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robustbench_zs.cli.table import Column, laid_out, room
from robustbench_zs.errors import RequestError
from robustbench_zs.system.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

MARK = "(!)"
"""Stands before the first cell of a row that has a warning."""

Columns = dict[str, Callable[[Any], str]]
"""Title of each column of the table for people → text of its cell, from a row as a dictionary."""


FORMATS = {".json": "json", ".csv": "csv", ".txt": "table"}
"""Ending of a file → its format where none was asked for."""


@dataclass(frozen=True)
class Output:
    """Where results go, and how: what --output and --format say.

    Raises:
        RequestError: the file has an ending that is no format, and none was asked for.
    """

    file: Path | None = None
    format: str | None = None

    def __post_init__(self) -> None:
        if self.file and not self.format and self.file.suffix not in FORMATS:
            raise RequestError(f"{self.file} ends in none of .json, .csv, .txt: add --format json, csv or table")

    @property
    def kind(self) -> str:
        """The format asked for, else that of the file's ending."""
        return self.format or (FORMATS[self.file.suffix] if self.file else "table")

    def emit(self, rows: pd.DataFrame | list[dict[str, Any]], columns: Columns) -> None:
        """Print or write rows; JSON and CSV hold everything, the table its `columns`.

        Raises:
            UnfinishedError: the file cannot be written.
        """
        rows = rows if isinstance(rows, list) else plain_rows(rows)
        if self.kind == "json":
            ascii_only = self.file is None and not is_unicode(sys.stdout)  # escapes keep what the screen cannot show
            text = json.dumps(rows, indent=2, ensure_ascii=ascii_only, allow_nan=False) + "\n"
        elif self.kind == "csv":
            text = _csv(rows)
        else:
            text = _table(rows, columns, self.file is not None)
        if self.file is None:
            click.echo(text, nl=False)
        else:
            write_atomically(self.file, text)
        for words in _warnings(rows):
            click.echo(words, err=True)


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame with JSON values."""
    return [{str(name): plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _csv(rows: list[dict[str, Any]]) -> str:
    import pandas as pd

    from robustbench_zs.reporting.cells import flat_cell

    flat = [{name: flat_cell(name, value) for name, value in row.items()} for row in rows]
    return pd.DataFrame(flat, dtype=object).to_csv(index=False)


def _warnings(rows: list[dict[str, Any]]) -> list[str]:
    """What must be known of networks in the table, which marks them."""
    said = (f"Warning: {MARK} {row['network']}: {row['warning']}" for row in rows if row.get("warning"))
    return list(dict.fromkeys(said))


def is_unicode(stream: Any) -> bool:
    """Whether a stream can take every character."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith(("utf", "cp65001"))


SPELLED = {"ε": "eps", "δ": "delta", "ρ": "rho", "λ": "lambda", "μ": "mu", "α": "alpha", "β": "beta", "Σ": "sum"} | {
    "–": "-",
    "—": "-",
    "−": "-",
    "─": "-",
    "…": "...",
    "≤": "<=",
    "≥": ">=",
    "→": "->",
    "×": "x",
    "·": "*",
    "∞": "inf",
}
"""Characters of ours as text for streams that cannot take them."""


def spell_what_cannot_be_shown() -> None:
    """Let the standard streams write in full, or as ?, what their encoding (cp1252, latin-1, ASCII) lacks."""
    codecs.register_error("zsbench", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not is_unicode(stream):
            stream.reconfigure(errors="zsbench")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(SPELLED.get(character, "?") for character in error.object[error.start : error.end]), error.end


def plain(value: Any) -> Any:
    """A JSON value; NaN, NA and infinity become null."""
    import numpy as np
    import pandas as pd

    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None or value is pd.NA:
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value


def _table(rows: list[dict[str, Any]], columns: Columns, to_file: bool) -> str:
    texts = {title: [cell(row) for row in rows] for title, cell in columns.items()}
    if "Network" in texts:
        texts["Network"] = [_told_apart(name, row, rows) for name, row in zip(texts["Network"], rows, strict=True)]
    first = next(iter(texts), None)
    if first is not None:
        texts[first] = [
            f"{MARK} {cell}" if row.get("warning") else cell for cell, row in zip(texts[first], rows, strict=True)
        ]
    return laid_out([Column(title, tuple(cells)) for title, cells in texts.items()], None if to_file else room())


def _told_apart(name: str, row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The name of a network, with its file where another row has the same name and seed for another one."""
    file = row.get("checkpoint")
    alike = (r for r in rows if (r.get("network"), r.get("seed")) == (row.get("network"), row.get("seed")))
    return name if all(r.get("checkpoint") == file for r in alike) else f"{name} {Path(str(file)).name}"


def number(key: str, digits: int = 1) -> Callable[[Any], str]:
    """A cell with a number of fixed digits, `–` where it is null."""
    return lambda row: "–" if row[key] is None else f"{row[key]:.{digits}f}"


def text(key: str) -> Callable[[Any], str]:
    """A cell with the value as it is, `–` where it is null."""
    return lambda row: "–" if row[key] is None else str(row[key])


def moduli(row: Any) -> str:
    return "–" if row["moduli"] is None else ", ".join(f"{m:.2f}" for m in row["moduli"])


def yes_no(key: str) -> Callable[[Any], str]:
    return lambda row: {None: "–", True: "yes", False: "no"}[row[key]]


def with_interval(value: str, low: str, high: str) -> Callable[[Any], str]:
    """`92.8 [89.6, 95.0]`."""
    return lambda row: f"{row[value]:.1f} [{row[low]:.1f}, {row[high]:.1f}]"


NETWORK: Columns = {
    "Network": text("network"),
    "Seed": text("seed"),
    "Moduli": moduli,
    "Zero-stable": yes_no("zero_stable"),
}
"""The columns that say which network a row is about."""
