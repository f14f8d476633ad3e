"""The results store: one SQLite file for a working folder, shared by single commands, studies and processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from robustbench_zs.datasets import Split
from robustbench_zs.errors import RequestError, UnfinishedError
from robustbench_zs.evaluation.questions.question import Answer, Question
from robustbench_zs.system.environment import environment
from robustbench_zs.system.files import canonical_json

DEFAULT_STORE = "reports/results.sqlite"
LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that is writing."""

APPLICATION_ID = 0x7A736265
"""What SQLite keeps in the file to say whose it is."""

_KEYED = {"network_answers": "answer", "evidence": "evidence", "distances": "distances"}
"""Table → its column of answers, which belong to a `Question.key`. Earlier versions wrote to the last two, and outcomes to
a table of their own; what is in these is read."""

TABLES = {*_KEYED, "outcomes", "checkpoints"}
"""Another one, `answers`, is of the command line."""

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
CREATE TABLE IF NOT EXISTS checkpoints (
    training_key TEXT PRIMARY KEY,
    weights_digest TEXT NOT NULL,
    path TEXT NOT NULL,
    header TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outcomes (
    weights_digest TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    split TEXT NOT NULL,
    perturbation TEXT NOT NULL,
    examples INTEGER NOT NULL,
    evaluation_version INTEGER NOT NULL,
    correct BLOB NOT NULL,
    near_ties BLOB NOT NULL,
    seconds REAL NOT NULL,
    environment TEXT NOT NULL,
    created TEXT NOT NULL,
    PRIMARY KEY (weights_digest, dataset_digest, split, perturbation, examples, evaluation_version)
) WITHOUT ROWID;
""" + "".join(
    f"CREATE TABLE IF NOT EXISTS {table} (key TEXT PRIMARY KEY, {column} BLOB NOT NULL, seconds REAL NOT NULL, "
    "environment TEXT NOT NULL, created TEXT NOT NULL) WITHOUT ROWID;\n"
    for table, column in _KEYED.items()
)

_FIND = " UNION ALL ".join(
    [f"SELECT CAST({column} AS BLOB), environment FROM {table} WHERE key = :key" for table, column in _KEYED.items()]
    + [
        "SELECT CAST(correct || near_ties AS BLOB), environment FROM outcomes "
        "WHERE (weights_digest, dataset_digest, examples, evaluation_version, split, perturbation) = "
        f"({', '.join(f'json_extract(:key, {part!r})' for part in ('$[0]', '$[1]', '$[2]', '$[3]', '$[4]', '$[5]'))})"
    ]
)
"""The answer under a key, wherever it is; an outcome's key is a list of what that table has in columns."""


class ResultsStore:
    """Open a store, creating it if absent; every write is one transaction, so a reader sees whole rows only.

    Raises (each method too):
        RequestError: the file is not such a store.
        UnfinishedError: it cannot be written, or another process held it for over a minute.

    Examples:
        >>> store = zs.ResultsStore("results.sqlite")
        >>> store.path.name
        'results.sqlite'
    """

    def __init__(self, path: Path | str = DEFAULT_STORE) -> None:
        self.path = Path(path)
        with self._connection() as connection:
            (identity,) = connection.execute("PRAGMA application_id").fetchone()
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if identity != APPLICATION_ID and tables:
                raise RequestError(f"{self.path} is an SQLite file of another program, not a results store")
            if identity != APPLICATION_ID or not tables.issuperset(TABLES):
                connection.executescript(_SCHEMA)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # A connection for each use: processes come and go, and SQLite's own locks keep them apart.
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=LOCK_TIMEOUT)
            try:
                with connection:
                    yield connection
            finally:
                connection.close()
        except sqlite3.OperationalError as error:
            raise UnfinishedError(f"the results store {self.path} could not be used: {error}") from error
        except sqlite3.DatabaseError as error:
            raise RequestError(f"{self.path} is not a results store: {error}") from error
        except OSError as error:
            raise UnfinishedError(f"the results store {self.path} could not be made: {error.strerror}") from error

    def knows(self, weights_digest: str) -> bool:
        """Whether there is any answer about the network."""
        start = canonical_json([weights_digest])[:-1]  # with which the keys of its answers begin
        with self._connection() as connection:
            row = connection.execute(
                "SELECT 1 FROM network_answers WHERE key BETWEEN ? AND ? "
                "UNION ALL SELECT 1 FROM outcomes WHERE weights_digest = ?",
                (f"{start},", f"{start}-", weights_digest),
            ).fetchone()
        return row is not None

    def get(self, question: Question[Answer], weights_digest: str, data: Split) -> Answer | None:
        """The answer to a question about a network on these images, if it is stored."""
        with self._connection() as connection:
            row = connection.execute(_FIND, {"key": question.key(weights_digest, data)}).fetchone()
        if row is None:
            return None
        try:
            return question.read(row[0], data, str(row[1]))
        except ValueError as error:
            problem = " ".join(str(error).split())[:200]
            raise RequestError(f"the results store {self.path} is damaged: {problem}") from error

    def put(self, question: Question[Answer], weights_digest: str, data: Split, answer: Answer, seconds: float) -> None:
        """Store an answer; if another process was first, its row stays."""
        made = (seconds, canonical_json(environment()), datetime.now(UTC).isoformat(timespec="seconds"))
        row = (question.key(weights_digest, data), question.pack(answer), *made)
        with self._connection() as connection:
            connection.execute("INSERT OR IGNORE INTO network_answers VALUES (?, ?, ?, ?, ?)", row)

    def remember_checkpoint(self, training_key: str, weights_digest: str, path: Path, header: str) -> None:
        """Note what was trained, so that a report can be made again without the weights."""
        with self._connection() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)", (training_key, weights_digest, str(path), header)
            )

    def checkpoint(self, training_key: str) -> tuple[str, str, str] | None:
        """(weights digest, path, header as JSON) of what was trained under the key, if it is known."""
        with self._connection() as connection:
            row = connection.execute(
                "SELECT weights_digest, path, header FROM checkpoints WHERE training_key = ?", (training_key,)
            ).fetchone()
        return None if row is None else (row[0], row[1], row[2])

    def take_over(self, other: Path, digests: Iterable[str] | None = None) -> int:
        """Copy what another store knows of networks (None: of all) into this one; rows that are here already stay.

        Returns:
            How many rows are new.
        """
        ResultsStore(other)  # raises where it is none
        with self._connection() as connection:
            connection.execute("ATTACH ? AS other", (str(other),))
            connection.execute("CREATE TEMP TABLE wanted AS SELECT DISTINCT weights_digest FROM other.checkpoints")
            if digests is not None:
                connection.execute("DELETE FROM wanted")
                connection.executemany("INSERT INTO wanted VALUES (?)", [(digest,) for digest in digests])
            before = connection.total_changes
            for table, condition in _OF_A_NETWORK.items():
                connection.execute(f"INSERT OR IGNORE INTO main.{table} SELECT * FROM other.{table} WHERE {condition}")
            return connection.total_changes - before


_OF_A_NETWORK = {
    **dict.fromkeys(("outcomes", "checkpoints"), "weights_digest IN wanted"),
    **dict.fromkeys(_KEYED, "json_extract(key, '$[0]') IN wanted"),
}
"""Table → the condition on a row of it that is about a network in `wanted`."""
