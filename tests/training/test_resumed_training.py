"""A training that was interrupted goes on where it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robustbench_zs.errors import RequestError
from robustbench_zs.training import Checkpoint, Recipe, train
from robustbench_zs.training.loop import Epoch

RECIPES = {
    "plain": Recipe(epochs=4, batch_size=16, learning_rate=0.02),
    "augmented": Recipe(epochs=4, batch_size=16, learning_rate=0.02, augmentation="crop-flip", schedule="cosine"),
    "best": Recipe(epochs=4, batch_size=16, learning_rate=0.3, warmup_epochs=4, weights="best"),
    "no momentum": Recipe(epochs=4, batch_size=16, learning_rate=0.02, momentum=0.0),
    "shares": Recipe(epochs=4, batch_size=16, learning_rate=0.02, replicas=2),
}


class StoppedError(Exception):
    pass


def run(folder: Path, recipe: Recipe, network: str, until: int | None = None, threads: int = 1) -> Checkpoint:
    def stop(task: object, epoch: Epoch) -> None:
        if epoch.epoch == until:
            raise StoppedError

    return train(
        [network],
        recipe=recipe,
        folder=folder,
        train_examples=48,
        test_examples=30,
        device="cpu",
        threads=threads,
        on_progress=stop,
    )[0]


@pytest.fixture(autouse=True)
def _write_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robustbench_zs.training.state.STATE_INTERVAL", 0.0)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("network", ["zerosnet20-opt:widths=4-8-16", "zerosnet20-tra:widths=4-8-16"])
def test_the_weights_are_those_of_a_training_without_interruption(tmp_path: Path, name: str, network: str) -> None:
    recipe = RECIPES[name]
    whole = run(tmp_path / "whole", recipe, network)
    for until in (2, 4):  # the second time it goes on from the state that the first left
        with pytest.raises(StoppedError):
            run(tmp_path / "parts", recipe, network, until)
        (state,) = (tmp_path / "parts").iterdir()
        assert state.name.endswith(".state.safetensors")
    parts = run(tmp_path / "parts", recipe, network)
    assert list((tmp_path / "parts").iterdir()) == [parts.path]
    assert parts.path.name == whole.path.name
    assert parts.digest == whole.digest
    for a, b in zip(parts.header.history, whole.header.history, strict=True):
        assert a.model_copy(update={"seconds": b.seconds}) == b


def test_a_state_decides_the_number_of_threads(tmp_path: Path) -> None:
    recipe, network = RECIPES["plain"], "zerosnet20-opt:widths=4-8-16"
    with pytest.raises(StoppedError):
        run(tmp_path, recipe, network, 3, threads=1)
    threads = torch.get_num_threads()
    assert run(tmp_path, recipe, network, threads=2).header.execution["threads"] == 1
    assert torch.get_num_threads() == threads


def test_a_damaged_state_is_named_and_kept(tmp_path: Path) -> None:
    recipe, network = RECIPES["plain"], "zerosnet20-opt:widths=4-8-16"
    with pytest.raises(StoppedError):
        run(tmp_path, recipe, network, 3)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    misnamed = content.replace(b"best_accuracy", b"best_accuracx")
    for damaged in (content[:-100], content[: len(content) // 2], b"", misnamed, flipped):
        path.write_bytes(damaged)
        with pytest.raises(RequestError, match=r"is damaged .*remove it"):
            run(tmp_path, recipe, network)
        assert path.read_bytes() == damaged


def test_a_state_of_another_training_is_not_gone_on_from(tmp_path: Path) -> None:
    recipe, network = RECIPES["plain"], "zerosnet20-opt:widths=4-8-16"
    with pytest.raises(StoppedError):
        run(tmp_path / "a", recipe, network, 3)
    with pytest.raises(StoppedError):
        run(tmp_path / "b", recipe.with_changes(momentum=0.8), network, 3)
    (a,), (b,) = (list((tmp_path / name).iterdir()) for name in "ab")
    a.write_bytes(b.read_bytes())
    resumed = run(tmp_path / "a", recipe, network)
    assert resumed.digest == run(tmp_path / "c", recipe, network).digest


def test_what_a_training_left_that_was_killed_at_its_very_end_is_removed(tmp_path: Path) -> None:
    recipe, network = RECIPES["plain"], "zerosnet20-opt:widths=4-8-16"
    with pytest.raises(StoppedError):
        run(tmp_path, recipe, network, 3)
    (state,) = tmp_path.iterdir()
    content = state.read_bytes()
    done = run(tmp_path, recipe, network)
    state.write_bytes(content)
    assert run(tmp_path, recipe, network).digest == done.digest
    assert list(tmp_path.iterdir()) == [done.path]


@pytest.mark.parametrize("text", ["soon", "-1", "nan"])
def test_an_interval_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ZSBENCH_STATE_SECONDS", text)
    with pytest.raises(RequestError, match="ZSBENCH_STATE_SECONDS"):
        run(tmp_path, RECIPES["plain"], "zerosnet20-opt:widths=4-8-16")
