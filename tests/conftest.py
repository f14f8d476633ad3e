"""Fixtures that several rooms share; torch is imported only where one of them is used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from robustbench_zs.datasets import LabelledImages
    from robustbench_zs.training import Checkpoint

# Before torch is imported: on networks this small a second thread mostly waits, and beside a busy process it waits for long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no failure: how long things take is measured in benchmarks/speed.
settings.register_profile("zsbench", deadline=None)
settings.load_profile("zsbench")

SMALL_NETWORK = "zerosnet20-opt:widths=4-8-16"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A small network that reads about nine digits in ten; trained once, never changed."""
    from robustbench_zs.training import Recipe, train

    recipe = Recipe(epochs=8, batch_size=16, learning_rate=0.05)
    folder = tmp_path_factory.mktemp("trained")
    return train([SMALL_NETWORK], recipe=recipe, train_examples=400, folder=folder, device="cpu", threads=1)[0]


@pytest.fixture(scope="session")
def diverged(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A network whose loss overflowed in its first epoch."""
    from robustbench_zs.training import Recipe, train

    recipe = Recipe(epochs=3, batch_size=16, learning_rate=1e6)
    folder = tmp_path_factory.mktemp("diverged")
    return train([SMALL_NETWORK], recipe=recipe, train_examples=64, folder=folder, device="cpu", threads=1)[0]


@pytest.fixture(scope="session")
def digits() -> LabelledImages:
    """The 360 test images of `digits`."""
    from robustbench_zs.datasets import LabelledImages, load_dataset

    test = load_dataset("digits").test
    assert isinstance(test, LabelledImages)
    return test


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
