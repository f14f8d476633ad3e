from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustbench_zs.errors import RequestError, UnfinishedError
from robustbench_zs.evaluation import Outcomes, ResultsStore
from robustbench_zs.evaluation import store as store_module
from robustbench_zs.evaluation.masking import Evidence
from robustbench_zs.evaluation.outcomes import EVALUATION_VERSION
from robustbench_zs.evaluation.store import ResultKey
from robustbench_zs.perturbations import FGSM, PGD, ConstantNoise, GaussianNoise, UniformNoise
from robustbench_zs.system.workers import Job, Send, run_jobs


def key(number: int, examples: int = 20) -> ResultKey:
    return ResultKey.of(f"weights {number}", "dataset", "test", GaussianNoise(0.1), examples)


def some_outcomes(number: int, examples: int = 20) -> Outcomes:
    correct, near_ties = np.random.default_rng(number).random((2, examples)) < 0.5
    return Outcomes(correct, near_ties, "dataset")


def put_many(path: str, numbers: range, send: Send) -> int:
    store = ResultsStore(path)
    for number in numbers:
        store.put(key(number), some_outcomes(number), 0.0)
        store.remember_checkpoint(f"training {number}", f"weights {number}", Path("x"), "{}")
    return len(numbers)


@settings(max_examples=25, deadline=None)
@given(bits=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_outcomes_come_back_image_by_image(tmp_path_factory: pytest.TempPathFactory, bits: list[tuple[bool, bool]]) -> None:
    correct, near_ties = np.array(bits).T
    store = ResultsStore(tmp_path_factory.mktemp("store") / "results.sqlite")
    assert store.get(key(0, len(bits))) is None
    store.put(key(0, len(bits)), Outcomes(correct, near_ties, "dataset"), 1.5)
    found = store.get(key(0, len(bits)))
    assert found is not None
    assert found.correct.tolist() == correct.tolist()
    assert found.near_ties.tolist() == near_ties.tolist()


def test_every_part_of_the_key_makes_another_row(tmp_path: Path) -> None:
    perturbations = [
        None,
        GaussianNoise(0.1),
        GaussianNoise(0.2),
        GaussianNoise(0.1, seed=2),
        UniformNoise(-0.1, 0.1),
        ConstantNoise(0.1),
        FGSM(0.1),
        FGSM(0.1, "torchattacks"),
        PGD(0.1),
        PGD(0.1, seed=2),
    ]
    keys = [ResultKey.of("w", "d", "test", p, 20) for p in perturbations]
    keys += [ResultKey.of(*parts) for parts in (("v", "d", "test", None, 20), ("w", "e", "test", None, 20))]
    keys += [ResultKey.of("w", "d", "train", None, 20), ResultKey.of("w", "d", "test", None, 21)]
    store = ResultsStore(tmp_path / "results.sqlite")
    for number, each in enumerate(keys):
        assert store.get(each) is None
        store.put(each, some_outcomes(number, each.examples), 0.0)
    for number, each in enumerate(keys):
        found = store.get(each)
        assert found is not None
        assert found.correct.tolist() == some_outcomes(number, each.examples).correct.tolist()


def test_a_new_evaluation_version_does_not_reuse_old_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ResultsStore(tmp_path / "results.sqlite")
    store.put(key(0), some_outcomes(0), 0.0)
    monkeypatch.setattr(store_module, "EVALUATION_VERSION", EVALUATION_VERSION + 1)
    assert store.get(key(0)) is None


def test_two_processes_writing_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    jobs = [Job(put_many, (str(path), numbers)) for numbers in (range(100), range(50, 150))]
    assert sorted(run_jobs(jobs, 2)) == [(0, 100), (1, 100)]
    store = ResultsStore(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM outcomes").fetchone() == (150,)
        assert connection.execute("SELECT COUNT(*) FROM checkpoints").fetchone() == (150,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for number in range(150):
        found = store.get(key(number))
        assert found is not None
        assert found.correct.tolist() == some_outcomes(number).correct.tolist()
        assert store.checkpoint(f"training {number}") == (f"weights {number}", "x", "{}")


def test_what_is_known_of_a_checkpoint_is_the_last_that_was_said(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path / "results.sqlite")
    assert store.checkpoint("training") is None
    for digest in ("old", "new"):
        store.remember_checkpoint("training", digest, Path("x"), "{}")
    assert store.checkpoint("training") == ("new", "x", "{}")


def test_a_text_file_is_no_store_and_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n" * 100)
    with pytest.raises(RequestError, match="not a results store"):
        ResultsStore(path)
    assert path.read_text() == "my notes\n" * 100


def test_a_database_of_another_kind_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE outcomes (patient TEXT)")
        connection.commit()
    with pytest.raises(RequestError, match="not a results store"):
        ResultsStore(path).get(key(0))


def test_a_store_that_another_connection_holds_is_unfinished_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "LOCK_TIMEOUT", 0.05)
    path = tmp_path / "results.sqlite"
    store = ResultsStore(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UnfinishedError, match="locked"):
            store.put(key(0), some_outcomes(0), 0.0)
        with pytest.raises(UnfinishedError, match="locked"):
            ResultsStore(path)
        connection.rollback()
    store.put(key(0), some_outcomes(0), 0.0)
    assert store.get(key(0)) is not None


def test_a_store_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(UnfinishedError, match="could not be made"):
        ResultsStore(tmp_path / "file" / "results.sqlite")


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("outcomes", "correct", b""),
        ("outcomes", "near_ties", bytes(4)),
        ("outcomes", "correct", "text"),
        ("evidence", "evidence", "{}"),
        ("distances", "distances", bytes(8)),
    ],
)
def test_a_row_that_is_not_whole_is_never_a_result(tmp_path: Path, table: str, column: str, value: object) -> None:
    store = ResultsStore(tmp_path / "results.sqlite")
    store.put(key(0), some_outcomes(0), 0.0)
    store.put_evidence("key", Evidence(images=20, eps=0.1, steps=1, queries=1), 0.0)
    store.put_distances("key", np.ones(20), 0.0)
    reads: dict[str, Callable[[], object]] = {
        "outcomes": lambda: store.get(key(0)),
        "evidence": lambda: store.evidence("key"),
        "distances": lambda: store.distances("key", 20),
    }
    assert reads[table]() is not None
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
        connection.commit()
    with pytest.raises(RequestError, match="damaged"):
        reads[table]()
