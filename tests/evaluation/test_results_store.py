from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robustbench_zs.datasets import LabelledImages
from robustbench_zs.errors import RequestError, UnfinishedError
from robustbench_zs.evaluation import Outcomes, ResultsStore
from robustbench_zs.evaluation import store as store_module
from robustbench_zs.evaluation.outcomes import EVALUATION_VERSION
from robustbench_zs.evaluation.questions import Accuracy, EpsSearch, MaskingProbe, Question
from robustbench_zs.evaluation.questions import accuracy as accuracy_module
from robustbench_zs.evaluation.questions.masking import Evidence
from robustbench_zs.perturbations import APGD, FGSM, PGD, ConstantNoise, GaussianNoise, UniformNoise
from robustbench_zs.perturbations.transfer import Transfer
from robustbench_zs.system.files import canonical_json
from robustbench_zs.system.workers import Job, Send, run_jobs

NOISE = Accuracy(GaussianNoise(0.1))


def images(examples: int = 20, white: int = 0) -> LabelledImages:
    pixels = torch.full((examples, 1, 8, 8), white, dtype=torch.uint8)
    return LabelledImages(pixels, torch.zeros(examples, dtype=torch.int64), 2)


def some_outcomes(number: int, examples: int = 20) -> Outcomes:
    correct, near_ties = np.random.default_rng(number).random((2, examples)) < 0.5
    return Outcomes(correct, near_ties, images(examples).digest)


def put_many(path: str, numbers: range, send: Send) -> int:
    store = ResultsStore(path)
    for number in numbers:
        store.put(NOISE, f"weights {number}", images(), some_outcomes(number), 0.0)
        store.remember_checkpoint(f"training {number}", f"weights {number}", Path("x"), "{}")
    return len(numbers)


@settings(max_examples=25, deadline=None)
@given(bits=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_outcomes_come_back_image_by_image(tmp_path_factory: pytest.TempPathFactory, bits: list[tuple[bool, bool]]) -> None:
    correct, near_ties = np.array(bits).T
    store = ResultsStore(tmp_path_factory.mktemp("store") / "results.sqlite")
    data = images(len(bits))
    assert store.get(NOISE, "weights", data) is None
    store.put(NOISE, "weights", data, Outcomes(correct, near_ties, data.digest), 1.5)
    found = store.get(NOISE, "weights", data)
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
    asked = [(Accuracy(p), "w", images()) for p in perturbations]
    asked += [(Accuracy(), "v", images()), (Accuracy(), "w", images(white=9))]
    asked += [(Accuracy(split="train"), "w", images()), (Accuracy(), "w", images(21))]
    store = ResultsStore(tmp_path / "results.sqlite")
    for number, each in enumerate(asked):
        assert store.get(*each) is None
        store.put(*each, some_outcomes(number, len(each[2])), 0.0)
    for number, each in enumerate(asked):
        found = store.get(*each)
        assert found is not None
        assert found.correct.tolist() == some_outcomes(number, len(each[2])).correct.tolist()


def test_a_new_evaluation_version_does_not_reuse_old_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ResultsStore(tmp_path / "results.sqlite")
    store.put(NOISE, "weights 0", images(), some_outcomes(0), 0.0)
    monkeypatch.setattr(accuracy_module, "EVALUATION_VERSION", EVALUATION_VERSION + 1)
    assert store.get(NOISE, "weights 0", images()) is None


def test_two_processes_writing_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    jobs = [Job(put_many, (str(path), numbers)) for numbers in (range(100), range(50, 150))]
    assert sorted(run_jobs(jobs, 2)) == [(0, 100), (1, 100)]
    store = ResultsStore(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM network_answers").fetchone() == (150,)
        assert connection.execute("SELECT COUNT(*) FROM checkpoints").fetchone() == (150,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for number in range(150):
        found = store.get(NOISE, f"weights {number}", images())
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
        ResultsStore(path).get(NOISE, "weights 0", images())


def test_a_store_that_another_connection_holds_is_unfinished_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "LOCK_TIMEOUT", 0.05)
    path = tmp_path / "results.sqlite"
    store = ResultsStore(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UnfinishedError, match="locked"):
            store.put(NOISE, "weights 0", images(), some_outcomes(0), 0.0)
        with pytest.raises(UnfinishedError, match="locked"):
            ResultsStore(path)
        connection.rollback()
    store.put(NOISE, "weights 0", images(), some_outcomes(0), 0.0)
    assert store.get(NOISE, "weights 0", images()) is not None


def test_a_store_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(UnfinishedError, match="could not be made"):
        ResultsStore(tmp_path / "file" / "results.sqlite")


SOME_ANSWERS: list[tuple[Question[Any], Any]] = [
    (NOISE, some_outcomes(0)),
    (MaskingProbe(0.1), Evidence(images=20, eps=0.1, steps=1, queries=1)),
    (EpsSearch(0.1), np.ones(20)),
]


@pytest.mark.parametrize(("question", "answer"), SOME_ANSWERS, ids=["accuracy", "masking", "smallest eps"])
@pytest.mark.parametrize("value", [b"", b"{}", bytes(5), "text"])
def test_a_row_that_is_not_whole_is_never_a_result(
    tmp_path: Path, question: Question[Any], answer: Any, value: object
) -> None:
    store = ResultsStore(tmp_path / "results.sqlite")
    store.put(question, "weights", images(), answer, 0.0)
    assert store.get(question, "weights", images()) is not None
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("UPDATE network_answers SET answer = ?", (value,))
        connection.commit()
    with pytest.raises(RequestError, match="damaged"):
        store.get(question, "weights", images())


# What the store was before there was one table of answers.
FORMER = """
PRAGMA application_id = 2054382181;
CREATE TABLE outcomes (
    weights_digest TEXT NOT NULL, dataset_digest TEXT NOT NULL, split TEXT NOT NULL, perturbation TEXT NOT NULL,
    examples INTEGER NOT NULL, evaluation_version INTEGER NOT NULL, correct BLOB NOT NULL, near_ties BLOB NOT NULL,
    seconds REAL NOT NULL, environment TEXT NOT NULL, created TEXT NOT NULL,
    PRIMARY KEY (weights_digest, dataset_digest, split, perturbation, examples, evaluation_version)
) WITHOUT ROWID;
CREATE TABLE checkpoints (
    training_key TEXT PRIMARY KEY, weights_digest TEXT NOT NULL, path TEXT NOT NULL, header TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE evidence (
    key TEXT PRIMARY KEY, evidence TEXT NOT NULL, seconds REAL NOT NULL, environment TEXT NOT NULL, created TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE distances (
    key TEXT PRIMARY KEY, distances BLOB NOT NULL, seconds REAL NOT NULL, environment TEXT NOT NULL, created TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE answers (request TEXT PRIMARY KEY, answer TEXT NOT NULL, files TEXT NOT NULL);
"""


@pytest.mark.parametrize("taken_over", [False, True])
def test_rows_of_before_are_read(tmp_path: Path, taken_over: bool) -> None:
    """Also those of perturbations whose keys hold floats, lists and nested values, and bytes of zero in the answers."""
    former, data, origin = tmp_path / "former.sqlite", images(), (1.0, '{"torch":"2"}', "2026")
    transfer = Transfer(PGD(1e-5, last=True, below=()), "another", "Björn's")
    asked = [None, GaussianNoise(1e-5), PGD(8 / 255, below=(1 / 255, 2 / 255)), APGD(0.1, target=3), transfer]
    with closing(sqlite3.connect(former)) as connection:
        connection.executescript(FORMER)
        connection.execute("INSERT INTO checkpoints VALUES ('training', 'w', 'x', '{}')")
        for number, p in enumerate(asked):
            text = '{"kind":"clean"}' if p is None else canonical_json(p.key())
            correct, near = (np.packbits(b).tobytes() for b in (some_outcomes(number).correct, np.zeros(20, np.bool_)))
            row = ("w", data.digest, "test", text, 20, 1, correct, near, *origin)
            connection.execute(f"INSERT INTO outcomes VALUES ({', '.join('?' * len(row))})", row)
        masked = {"eps": 0.1, "images": 100, "steps": 10, "queries": 300, "seed": 1, "engine": "native"}
        key = canonical_json(["w", data.digest, 20, 2, masked])
        evidence = '{"images":20,"eps":0.1,"steps":1,"queries":1}'
        connection.execute("INSERT INTO evidence VALUES (?, ?, ?, ?, ?)", (key, evidence, *origin))
        key = canonical_json(["w", data.digest, 20, 2, "minimum norm", "l2", 0.5, 16])
        connection.execute("INSERT INTO distances VALUES (?, ?, ?, ?, ?)", (key, np.arange(20.0).tobytes(), *origin))
        connection.commit()
    store = ResultsStore(tmp_path / "new.sqlite" if taken_over else former)
    if taken_over:
        assert store.take_over(former) == len(asked) + 3
    assert (store.knows("w"), store.knows("v")) == (True, False)
    for number, p in enumerate(asked):
        found = store.get(Accuracy(p), "w", data)
        assert found is not None
        assert found.environment == origin[1]
        assert found.correct.tolist() == some_outcomes(number).correct.tolist()
        assert not found.near_ties.any()
    assert store.get(MaskingProbe(0.1), "w", data) == Evidence(images=20, eps=0.1, steps=1, queries=1)
    np.testing.assert_array_equal(store.get(EpsSearch(0.5, "l2"), "w", data), np.arange(20.0))  # type: ignore[arg-type]
    assert store.get(Accuracy(), "v", data) is None


@pytest.mark.parametrize("column", ["correct", "near_ties"])
def test_a_row_of_before_that_is_not_whole_is_never_a_result(tmp_path: Path, column: str) -> None:
    store = ResultsStore(tmp_path / "results.sqlite")
    row = {"correct": bytes(3), "near_ties": bytes(3)} | {column: "a text"}
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute(
            "INSERT INTO outcomes VALUES ('w', ?, 'test', '{\"kind\":\"clean\"}', 20, 1, ?, ?, 0, '{}', '')",
            (images().digest, *row.values()),
        )
        connection.commit()
    with pytest.raises(RequestError, match="damaged"):
        store.get(Accuracy(), "w", images())
