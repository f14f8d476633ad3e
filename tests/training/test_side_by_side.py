"""Networks trained side by side on one device: the steps, by a plan that lies there, are those of a training alone."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from robustbench_zs.datasets import load_dataset
from robustbench_zs.networks import network_from_name
from robustbench_zs.networks.build import build_network
from robustbench_zs.training import Recipe, read_checkpoint
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.graphed import fit_graphed
from robustbench_zs.training.loop import Training, fit
from robustbench_zs.training.task import TrainingTask
from robustbench_zs.training.train import train_some
from robustbench_zs.training.trial import deal

WIDTHS = "widths=4-4-8"
NAMES = [f"zerosnet8-opt:{WIDTHS}", f"zerosnet8-tra:{WIDTHS}", f"lm-resnet8:{WIDTHS}", f"resnet8:{WIDTHS}"]
RECIPE = Recipe(epochs=2, batch_size=32, learning_rate=0.3, augmentation="crop-flip", schedule="one-cycle", warmup_epochs=1)


def trainings(recipe: Recipe, examples: int) -> list[Training]:
    data = load_dataset("digits", train_examples=examples).train
    made = []
    for seed, name in enumerate(NAMES):
        torch.manual_seed(seed)
        network = build_network(network_from_name(name), 1, 10, (0.3,), (0.2,))
        made.append(Training(network, data, recipe, seed))
    return made


@pytest.mark.parametrize(
    ("recipe", "examples"),
    [
        (RECIPE, 150),  # four whole steps and a rest
        (replace(RECIPE, augmentation="none", schedule="step", momentum=0.0), 128),
        (RECIPE, 20),  # less than one whole step
        (replace(RECIPE, weights="best", precision="bfloat16"), 64),
    ],
    ids=["rest", "plain", "one step", "best weights"],
)
def test_side_by_side_is_alone_bit_for_bit(recipe: Recipe, examples: int) -> None:
    test = load_dataset("digits", test_examples=50).test
    alone, together = trainings(recipe, examples), trainings(recipe, examples)
    for training in alone:
        fit(training, test)
    fit_graphed(together, test)
    for one, other in zip(alone, together, strict=True):
        other.finish()
        for ours, theirs in zip(one.history, other.history, strict=True):
            assert ours.loss == theirs.loss
            assert ours.train_accuracy == theirs.train_accuracy
            assert ours.learning_rate == theirs.learning_rate
            assert ours.block_parameters == theirs.block_parameters
        for name, tensor in one.network.state_dict().items():
            assert torch.equal(tensor, other.network.state_dict()[name]), name


def test_a_training_that_diverges_leaves_the_others_alone() -> None:
    test = load_dataset("digits", test_examples=50).test
    made = trainings(RECIPE, 64)
    with torch.no_grad():
        made[0].network.head[-1].weight.fill_(torch.nan)  # type: ignore[index, union-attr]
    fit_graphed(made, test)
    assert [len(training.history) for training in made] == [1, 2, 2, 2]


def test_checkpoints_are_those_of_trainings_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted and gone on with, more networks than streams, two streams where there is no memory for four."""
    monkeypatch.setenv("ZSBENCH_STATE_SECONDS", "0")

    def tasks(folder: str) -> list[TrainingTask]:
        spec = [network_from_name(name) for name in NAMES]
        return [TrainingTask(s, "digits", None, 64, 50, RECIPE, 7, str(tmp_path / folder)) for s in spec]

    class StopError(Exception):
        pass

    def stop(event: tuple[int, object]) -> None:
        if event[0] == 2:
            raise StopError

    def hungry(members: list[Training], test: object) -> None:
        if len(members) > 2:
            torch.empty(2**60)  # torch's own error
        fit_graphed(members, test)  # type: ignore[arg-type]

    alone = train_some(tasks("alone"), Execution("cpu", 1), lambda event: None)
    execution = Execution("cpu", 1, streams=4)
    monkeypatch.setattr(sys.modules[train_some.__module__], "fit_graphed", hungry)
    with pytest.raises(StopError):
        train_some(tasks("streams"), execution, stop)
    together = train_some(tasks("streams"), execution, lambda event: None)
    for one, other in zip(alone, together, strict=True):
        weights = read_checkpoint(other.path).network().state_dict()
        for name, tensor in read_checkpoint(one.path).network().state_dict().items():
            assert torch.equal(tensor, weights[name])
    assert not list((tmp_path / "streams").glob("*.state.*"))


def test_networks_of_any_shape_share_a_device(tmp_path: Path) -> None:
    made = [TrainingTask(network_from_name(n), "digits", None, 64, 50, RECIPE, 7, str(tmp_path)) for n in NAMES]
    dealt = deal(made, [Execution("cuda", 1, streams=3)] * 4, 1)
    assert [indices for indices, _ in dealt] == [[0, 1], [2, 3]]
