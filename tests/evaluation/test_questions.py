"""A question that the package does not know needs its own class and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from robustbench_zs.datasets import Split
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.answer import answer
from robustbench_zs.evaluation.questions import Accuracy, Bench, Question
from robustbench_zs.evaluation.sources import images_of
from robustbench_zs.perturbations import FGSM, PGD, GaussianNoise
from robustbench_zs.studies.run import run_study
from robustbench_zs.training import Checkpoint
from robustbench_zs.training.execution import Compute

answered: list[Question[float]] = []


@dataclass(frozen=True)
class Process(Question[int]):
    """Which process answers a question that takes so many passes."""

    work: float

    @property
    def label(self) -> str:
        return "process"

    @property
    def passes(self) -> float:
        return self.work

    def parameters(self) -> list[Any]:
        return [1, "process", self.work]

    def answer(self, bench: Bench) -> Mapping[Any, int]:
        return {self: os.getpid()}

    def pack(self, answer: int) -> bytes:
        return b"%d" % answer

    def read(self, packed: bytes, data: Split, environment: str) -> int:
        return int(packed)


@dataclass(frozen=True)
class Confidence(Question[float]):
    """The mean probability of the answer, over images that are classified correctly when clean."""

    temperature: float = 1.0

    @property
    def label(self) -> str:
        return "confidence"

    @property
    def passes(self) -> float:
        return 1.0

    def parameters(self) -> list[Any]:
        return [1, "confidence", self.temperature]

    def answer(self, bench: Bench) -> Mapping[Any, float]:
        answered.append(self)
        right = torch.from_numpy(bench.ask(Accuracy()).correct)
        with torch.no_grad():
            logits = bench.network().eval()(bench.images("test").images().to(bench.device))
        return {self: float((logits / self.temperature).softmax(1).amax(1)[right].mean())}

    def pack(self, answer: float) -> bytes:
        return json.dumps(answer).encode()

    def read(self, packed: bytes, data: Split, environment: str) -> float:
        return float(json.loads(packed))


def test_a_new_question_is_answered_once_and_then_read_from_the_store(checkpoint: Checkpoint, tmp_path: Path) -> None:
    store, told = tmp_path / "results.sqlite", list[tuple[str, str]]()
    about = images_of(checkpoint, None, None, 60)
    cold, warm = Confidence(), Confidence(temperature=5.0)
    compute = Compute(threads=1)

    def ask(source: Checkpoint) -> list[float]:
        [found] = answer([(source, about, (cold, warm))], compute, store, lambda *what: told.append(what))
        return [found[cold], found[warm]]

    first = ask(checkpoint)
    assert 0.1 < first[1] < first[0] <= 1
    answered.clear()
    assert ask(checkpoint) == first
    assert not answered
    assert told == 2 * 2 * [(str(checkpoint.path), "confidence")]


def test_small_work_is_done_in_this_process(checkpoint: Checkpoint) -> None:
    def processes(work: float) -> set[int]:
        question, about = Process(work), images_of(checkpoint, None, None, 60)
        return {found[question] for found in answer([(checkpoint, about, [question])] * 2, Compute(workers=2), None)}

    assert processes(1.0) == {os.getpid()}
    assert os.getpid() not in processes(1e6)


def test_questions_are_told_apart_by_what_they_ask_and_of_which_images(checkpoint: Checkpoint) -> None:
    data = images_of(checkpoint, None, None, 20).load()
    asked = [Accuracy(), Accuracy(split="train"), Accuracy(FGSM(0.1)), Accuracy(FGSM(0.2)), Accuracy(GaussianNoise(0.1))]
    keys = [question.key(digest, data.split(question.split)) for question in asked for digest in ("a", "b")]
    assert len(set(keys)) == len(keys)


def test_several_budgets_are_answered_together_and_each_is_kept(checkpoint: Checkpoint, tmp_path: Path) -> None:
    low, high = Accuracy(PGD(0.02)), Accuracy(PGD(0.05, below=(0.02,)))
    about = images_of(checkpoint, None, None, 60)
    [both] = answer([(checkpoint, about, (Accuracy(), high, low))], Compute(threads=1), tmp_path / "results.sqlite")
    [again] = answer([(checkpoint, about, (low,))], Compute(threads=1), None)
    assert (both[low].correct == again[low].correct).all()
    assert (both[high].correct <= both[low].correct).all()


def test_a_run_refuses_a_batch_size_before_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match="batch size"):
        run_study("digits", batch_size=0)
    assert not list(tmp_path.iterdir())
