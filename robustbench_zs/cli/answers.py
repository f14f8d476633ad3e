"""Stored answers to commands: the same request about the same files is answered without importing torch.

An answer lies in the results store, beside the outcomes that it was made of, with a fingerprint of every file that it is a
function of: checkpoints, images and this package. As in `make` and Git a file counts as unchanged when its size and times
are; an answer is not kept while a file is so young that another change might leave its times as they are.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import robustbench_zs
from robustbench_zs.cli.output import plain_rows
from robustbench_zs.system.fingerprint import fingerprint

if TYPE_CHECKING:
    import pandas as pd

STORE = Path("reports/results.sqlite")
YOUNG = 2_000_000_000
"""Nanoseconds: coarser times than this no file system keeps."""

NOT_ASKED = ("format_", "output", "plot", "debug")
"""Parameters that change how an answer is written, not what it is."""


@dataclass(frozen=True)
class Answer:
    """Rows of JSON values, and sentences that belong to them."""

    rows: list[dict[str, Any]]
    said: list[str]


def answer(compute: Callable[[], pd.DataFrame], remark: Callable[[pd.DataFrame], str | None] = lambda frame: None) -> Answer:
    """The answer to the command that is running: as it was given before, else computed, and kept.

    Args:
        compute: gives the rows.
        remark: a sentence for a table of these rows.
    """
    context, start = click.get_current_context(), time.time_ns()
    own = bool(context.params.get("models"))  # its code is not in the digest of its weights
    request = None if own else _request(context)
    if request and (known := _known(request)):
        return known
    frame = compute()
    words = remark(frame)
    made = Answer(plain_rows(frame), [words] if words else [])
    if request:
        _keep(request, made, _files_behind(context.params, frame), start)
    return made


def _request(context: click.Context) -> str:
    asked = {name: value for name, value in context.params.items() if name not in NOT_ASKED}
    environment = os.environ.get("ZSBENCH_DATA_DIR")
    package = fingerprint(Path(robustbench_zs.__file__).parent)
    return json.dumps([context.command.name, asked, environment, package], default=str)


def _files_behind(params: dict[str, Any], frame: pd.DataFrame) -> list[Path]:
    """Files and folders that the answer was read from."""
    given = [*params["checkpoints"], *params.get("from_", ())]
    files = [Path(path) for path in given] if params["checkpoints"] else [Path("checkpoints"), *map(Path, given)]
    data = Path(params["data_dir"] or os.environ.get("ZSBENCH_DATA_DIR") or "data")
    for name in {*frame["dataset"], params["dataset"]} - {None}:
        if name == "digits":
            files += _scikit_learn()
        else:
            files += [data / name, Path(name)]
            files += [data / there for there in ("MNIST", "FashionMNIST", "cifar-10-batches-py", "cifar-100-python")]
    return files


def _scikit_learn() -> list[Path]:
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin)
    return [package, package.parent / "datasets" / "data" / "digits.csv.gz"]


def _known(request: str) -> Answer | None:
    if not STORE.is_file():
        return None
    try:
        with closing(sqlite3.connect(STORE)) as connection:
            row = connection.execute("SELECT answer, files FROM answers WHERE request = ?", (request,)).fetchone()
    except sqlite3.Error:  # no answer was kept yet; what is wrong with the store, if anything is, it says itself
        return None
    if row is None or any(fingerprint(Path(path)) != then for path, then in json.loads(row[1]).items()):
        return None
    return Answer(**json.loads(row[0]))


def _keep(request: str, made: Answer, files: list[Path], start: int) -> None:
    prints = {str(path): fingerprint(path, before=start - YOUNG) for path in files}
    if None in prints.values() or not STORE.is_file():
        return
    try:
        with closing(sqlite3.connect(STORE)) as connection, connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS answers (request TEXT PRIMARY KEY, answer TEXT NOT NULL, files TEXT NOT NULL)"
            )
            row = (request, json.dumps(asdict(made), allow_nan=False), json.dumps(prints))
            connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", row)
    except sqlite3.Error:  # a full or read-only disk: the answer is at hand all the same
        return
