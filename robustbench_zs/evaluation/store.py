"""The results store: one SQLite file for a working folder, shared by single commands, studies and processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from robustbench_zs.errors import RequestError, UnfinishedError
from robustbench_zs.evaluation.masking import Evidence
from robustbench_zs.evaluation.outcomes import EVALUATION_VERSION, Outcomes
from robustbench_zs.evaluation.smallest_eps import Distances
from robustbench_zs.perturbations import Perturbation
from robustbench_zs.system.environment import environment
from robustbench_zs.system.files import canonical_json

DEFAULT_STORE = "reports/results.sqlite"
LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that is writing."""

CLEAN = canonical_json({"kind": "clean"})

APPLICATION_ID = 0x7A736265
"""What SQLite keeps in the file to say whose it is."""

TABLES = 4

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
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
CREATE TABLE IF NOT EXISTS checkpoints (
    training_key TEXT PRIMARY KEY,
    weights_digest TEXT NOT NULL,
    path TEXT NOT NULL,
    header TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS evidence (
    key TEXT PRIMARY KEY,
    evidence TEXT NOT NULL,
    seconds REAL NOT NULL,
    environment TEXT NOT NULL,
    created TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS distances (
    key TEXT PRIMARY KEY,
    distances BLOB NOT NULL,
    seconds REAL NOT NULL,
    environment TEXT NOT NULL,
    created TEXT NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class ResultKey:
    """What an outcome is a function of."""

    weights_digest: str
    dataset_digest: str
    split: str
    perturbation: str
    examples: int

    @staticmethod
    def of(
        weights_digest: str, dataset_digest: str, split: str, perturbation: Perturbation | None, examples: int
    ) -> ResultKey:
        text = CLEAN if perturbation is None else canonical_json(perturbation.key())
        return ResultKey(weights_digest, dataset_digest, split, text, examples)

    @property
    def values(self) -> tuple[str | int, ...]:
        return (
            self.weights_digest,
            self.dataset_digest,
            self.split,
            self.perturbation,
            self.examples,
            EVALUATION_VERSION,
        )


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
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if identity != APPLICATION_ID and tables:
                raise RequestError(f"{self.path} is an SQLite file of another program, not a results store")
            if identity != APPLICATION_ID or tables < TABLES:
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
        """Whether there is any outcome of the network."""
        with self._connection() as connection:
            row = connection.execute("SELECT 1 FROM outcomes WHERE weights_digest = ? LIMIT 1", (weights_digest,)).fetchone()
        return row is not None

    def get(self, key: ResultKey) -> Outcomes | None:
        """The outcomes stored under the key, if any."""
        with self._connection() as connection:
            row = connection.execute(
                "SELECT correct, near_ties, environment FROM outcomes WHERE (weights_digest, dataset_digest, split, "
                "perturbation, examples, evaluation_version) = (?, ?, ?, ?, ?, ?)",
                key.values,
            ).fetchone()
        if row is None:
            return None
        correct, near_ties = (self._unpack(blob, key.examples) for blob in row[:2])
        return Outcomes(correct, near_ties, key.dataset_digest, str(row[2]))

    def _unpack(self, blob: bytes, n: int) -> npt.NDArray[np.bool_]:
        if not isinstance(blob, bytes) or len(blob) != -(-n // 8):
            raise RequestError(f"the results store {self.path} is damaged: a row has not the outcomes of {n} images")
        return np.unpackbits(np.frombuffer(blob, np.uint8), count=n).astype(np.bool_)

    def put(self, key: ResultKey, outcomes: Outcomes, seconds: float) -> None:
        """Store outcomes; if another process was first, its row stays."""
        row = (
            *key.values,
            np.packbits(outcomes.correct).tobytes(),
            np.packbits(outcomes.near_ties).tobytes(),
            *_origin(seconds),
        )
        with self._connection() as connection:
            connection.execute(f"INSERT OR IGNORE INTO outcomes VALUES ({', '.join('?' * len(row))})", row)

    def evidence(self, key: str) -> Evidence | None:
        """What was found of gradient masking under a `MaskingProbe.key`, if it is there."""
        with self._connection() as connection:
            row = connection.execute("SELECT evidence FROM evidence WHERE key = ?", (key,)).fetchone()
        try:
            return None if row is None else Evidence.model_validate_json(row[0])
        except ValidationError as error:
            raise RequestError(f"the results store {self.path} is damaged: a row holds no evidence of masking") from error

    def put_evidence(self, key: str, evidence: Evidence, seconds: float) -> None:
        """Store evidence; if another process was first, its row stays."""
        row = (key, evidence.model_dump_json(), *_origin(seconds))
        with self._connection() as connection:
            connection.execute(f"INSERT OR IGNORE INTO evidence VALUES ({', '.join('?' * len(row))})", row)

    def distances(self, key: str, images: int) -> Distances | None:
        """The distances of so many images stored under an `EpsSearch.key`, if they are there."""
        with self._connection() as connection:
            row = connection.execute("SELECT distances FROM distances WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        if not isinstance(row[0], bytes) or len(row[0]) != 8 * images:
            raise RequestError(f"the results store {self.path} is damaged: a row has not the distances of {images} images")
        return np.frombuffer(row[0], "<f8").astype(np.float64)

    def put_distances(self, key: str, distances: Distances, seconds: float) -> None:
        """Store distances; if another process was first, its row stays."""
        row = (key, distances.astype("<f8").tobytes(), *_origin(seconds))
        with self._connection() as connection:
            connection.execute(f"INSERT OR IGNORE INTO distances VALUES ({', '.join('?' * len(row))})", row)

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
    "outcomes": "weights_digest IN wanted",
    "checkpoints": "weights_digest IN wanted",
    "evidence": "EXISTS (SELECT 1 FROM wanted WHERE instr(key, weights_digest))",
    "distances": "EXISTS (SELECT 1 FROM wanted WHERE instr(key, weights_digest))",
}
"""Table → the condition on a row of it that is about a network in `wanted`; keys of the last two hold the digest."""


def _origin(seconds: float) -> tuple[float, str, str]:
    return seconds, canonical_json(environment()), datetime.now(UTC).isoformat(timespec="seconds")
