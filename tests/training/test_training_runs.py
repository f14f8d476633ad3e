from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from robustbench_zs.datasets import load_dataset
from robustbench_zs.errors import RequestError
from robustbench_zs.training import Checkpoint, Recipe, loop, read_checkpoint, train, training_table
from robustbench_zs.training.loop import Epoch, Training, fit

NETWORK = "zerosnet20-opt:widths=4-8-16"
SHORT = Recipe(epochs=2, batch_size=16)
AUGMENTED = Recipe(epochs=1, batch_size=16, augmentation="crop-flip")


def train_small(folder: Path, recipe: Recipe = SHORT, **options: Any) -> list[Checkpoint]:
    settings = {"train_examples": 48, "test_examples": 20, "device": "cpu", "threads": 1, **options}
    return train([NETWORK], recipe=recipe, folder=folder, **settings)


def same_weights(a: Checkpoint, b: Checkpoint) -> bool:
    return a.tensors.keys() == b.tensors.keys() and all(
        a.tensors[name].numpy().tobytes() == b.tensors[name].numpy().tobytes() for name in a.tensors
    )


@pytest.mark.parametrize("recipe", [SHORT, AUGMENTED], ids=["plain", "augmented"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(tmp_path: Path, recipe: Recipe) -> None:
    first, second = (train_small(tmp_path / name, recipe)[0] for name in "ab")
    assert first.path != second.path
    assert same_weights(first, second)


@pytest.mark.parametrize("weights", ["last", "best"])
def test_the_weights_are_those_the_recipe_asks_for(tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TEST_SHARE", 1.0)
    # A rate that rises to the end makes the last epochs worse.
    recipe = Recipe(5, 16, learning_rate=0.3, schedule="cosine", warmup_epochs=5, weights=weights)  # type: ignore[arg-type]
    checkpoint = train_small(tmp_path, recipe, train_examples=200, test_examples=100)[0]
    seen = [epoch.test_accuracy for epoch in checkpoint.header.history]
    assert seen[-1] != max(a for a in seen if a is not None), "the last epoch is the best: this test says nothing"
    test = load_dataset("digits", test_examples=100).test
    with torch.no_grad():
        correct = int((checkpoint.network()(test.images()).argmax(1) == test.labels).sum())
    assert correct == (seen[-1] if weights == "last" else max(a for a in seen if a is not None))


def test_worker_processes_give_the_weights_of_this_process(tmp_path: Path) -> None:
    epochs: list[int] = []
    here = train_small(tmp_path / "here", seeds=(0, 1))
    there = train_small(
        tmp_path / "there",
        seeds=(0, 1),
        workers=2,
        on_progress=lambda task, epoch: epochs.append(task.seed * 10 + epoch.epoch),
    )
    assert all(same_weights(a, b) for a, b in zip(here, there, strict=True))
    assert [c.header.seed for c in there] == [0, 1]
    assert sorted(epochs) == [1, 2, 11, 12]


def test_another_seed_gives_other_weights_and_another_order(tmp_path: Path) -> None:
    first, second = train_small(tmp_path, seeds=(0, 1))
    assert first.digest != second.digest
    assert first.path != second.path


def test_a_finished_checkpoint_is_not_trained_again(tmp_path: Path) -> None:
    epochs: list[Epoch] = []
    first = train_small(tmp_path, on_progress=lambda task, epoch: epochs.append(epoch))[0]
    before = first.path.stat().st_mtime_ns
    second = train_small(tmp_path, seeds=(0, 0), on_progress=lambda task, epoch: epochs.append(epoch))
    assert [c.path for c in second] == [first.path] * 2
    assert len(epochs) == SHORT.epochs
    assert first.path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "other",
    [{"recipe": SHORT.with_changes(momentum=0.8)}, {"train_examples": 32}, {"seeds": (5,)}],
    ids=["recipe", "images", "seed"],
)
def test_another_recipe_data_or_seed_gets_another_file(tmp_path: Path, other: dict[str, Any]) -> None:
    first = train_small(tmp_path)[0]
    second = train_small(tmp_path, **other)[0]
    assert first.path != second.path
    assert sorted(tmp_path.iterdir()) == sorted([first.path, second.path])


def test_a_damaged_file_in_its_place_is_reported_and_kept(tmp_path: Path) -> None:
    path = train_small(tmp_path)[0].path
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RequestError, match="not a safetensors checkpoint"):
        train_small(tmp_path)
    assert path.stat().st_size == 100


def test_training_disturbs_neither_the_global_generator_nor_the_threads(tmp_path: Path) -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    train_small(tmp_path, AUGMENTED, threads=threads + 1)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_global_generator_does_not_decide_the_weights(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = train_small(tmp_path / "a")[0]
    torch.manual_seed(2)
    assert same_weights(first, train_small(tmp_path / "b")[0])


def test_a_trained_network_reads_digits(checkpoint: Checkpoint) -> None:
    header = checkpoint.header
    assert [epoch.epoch for epoch in header.history] == list(range(1, 9))
    assert [epoch.learning_rate for epoch in header.history] == pytest.approx([0.05] * 4 + [0.005] * 2 + [0.0005] * 2)
    assert header.history[-1].loss is not None
    assert header.history[-1].loss < math.log(10) / 2
    assert (header.history[-1].test_accuracy or 0) > 75
    assert header.best is not None
    assert header.best.test_accuracy == max(epoch.test_accuracy or 0 for epoch in header.history)
    assert header.diverged_at is None


def test_a_run_that_diverges_is_recorded_and_ends_there(diverged: Checkpoint) -> None:
    header = read_checkpoint(diverged.path).header
    assert header.diverged_at == 1
    assert [epoch.loss for epoch in header.history] == [None]
    assert not all(torch.isfinite(tensor).all() for tensor in diverged.tensors.values())
    row = training_table([diverged]).iloc[0]
    assert row["diverged_at"] == 1
    assert row["loss"] is None


def test_the_loop_is_sgd_with_momentum_decay_and_steps() -> None:
    data = load_dataset("digits").train.first(64)
    recipe = Recipe(epochs=4, batch_size=64, learning_rate=0.1, momentum=0.9, weight_decay=0.01)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    weight, bias = (p.detach().clone().double() for p in network.parameters())
    velocities = [torch.zeros_like(weight), torch.zeros_like(bias)]
    history = fit(Training(network, data, recipe, 0), data)
    losses = []
    for rate in (0.1, 0.1, 0.01, 0.001):  # Sutskever et al. 2013 as torch writes it, on the whole set at a time
        parameters = [weight.requires_grad_(), bias.requires_grad_()]
        loss = F.cross_entropy(F.linear(data.images().flatten(1).double(), *parameters), data.labels)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            velocities = [0.9 * v + g + 0.01 * p for v, g, p in zip(velocities, gradients, parameters, strict=True)]
            weight, bias = (p - rate * v for p, v in zip(parameters, velocities, strict=True))
        losses.append(float(loss.detach()))
    trained = list(network.parameters())
    torch.testing.assert_close(trained[0].double(), weight, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(trained[1].double(), bias, rtol=1e-4, atol=1e-6)
    assert [epoch.loss for epoch in history] == pytest.approx(losses, rel=1e-4)


def test_what_is_left_over_makes_a_last_smaller_batch() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 10)
            self.sizes: list[int] = []

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if self.training:
                self.sizes.append(len(images))
            logits: torch.Tensor = self.linear(images.flatten(1))
            return logits

    data = load_dataset("digits").train.first(40)
    network = Counting()
    fit(Training(network, data, Recipe(epochs=2, batch_size=16), 0), data)
    assert network.sizes == [16, 16, 8] * 2
    assert not network.training


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train_examples": 0}, "number of images"),
        ({"train_examples": 10_000}, "1437"),
        ({"seeds": (-1,)}, "seed"),
        ({"seeds": (2**63,)}, "seed"),
        ({"seeds": ()}, "nothing to train"),
        ({"threads": 0}, "threads"),
        ({"device": "abacus"}, "abacus"),
        ({"dataset": "letters"}, "letters"),
    ],
    ids=str,
)
def test_a_wrong_request_is_refused_in_one_sentence(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        train_small(tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


def test_the_table_has_a_row_for_each_checkpoint(checkpoint: Checkpoint, diverged: Checkpoint) -> None:
    table = training_table([checkpoint, diverged])
    assert table["digest"].tolist() == [checkpoint.digest, diverged.digest]
    assert table["epochs"].tolist() == [8, 1]
    assert table["zero_stable"].tolist() == [True, True]
    assert table["moduli"][0] == pytest.approx([1, 1 / 3, 1 / 3])


def test_testing_takes_a_tenth_of_the_time_and_changes_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [e for e in range(1, 21) if loop.tested_after(e, Recipe(20, 32, 0.1), 400, 360)] == [10, 20]
    assert [e for e in range(1, 9) if loop.tested_after(e, Recipe(8, 128, 0.1), 50_000, 10_000)] == [3, 6, 8]  # CIFAR
    assert all(loop.tested_after(e, Recipe(20, 32, 0.1, weights="best"), 200, 360) for e in range(1, 21))
    recipe = Recipe(3, 16, 0.05)
    seldom = train_small(tmp_path / "seldom", recipe, train_examples=40, test_examples=60)[0]
    assert [epoch.test_accuracy is None for epoch in seldom.header.history] == [True, True, False]
    monkeypatch.setattr("robustbench_zs.training.loop.TEST_SHARE", 1e9)
    always = train_small(tmp_path / "always", recipe, train_examples=40, test_examples=60)[0]
    assert [epoch.test_accuracy is None for epoch in always.header.history] == [False, False, False]
    assert same_weights(seldom, always)
