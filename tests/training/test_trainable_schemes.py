"""Networks whose blocks learn the parameter of their scheme: training, checkpoint, rows, report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from robustbench_zs.evaluation import evaluate, gap
from robustbench_zs.networks import network_from_name
from robustbench_zs.networks.build import build_network
from robustbench_zs.schemes import third_order
from robustbench_zs.studies.run import run_study
from robustbench_zs.training import Checkpoint, Recipe, read_checkpoint, train
from robustbench_zs.training.step import parameter_groups
from robustbench_zs.training.table import training_table


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    recipe = Recipe(epochs=3, batch_size=16, learning_rate=0.05)
    folder = tmp_path_factory.mktemp("tra")
    name = "zerosnet20-tra:widths=4-8-16"
    return train([name], recipe=recipe, train_examples=64, folder=folder, device="cpu", threads=1)[0]


def test_the_history_has_the_trajectory(trained: Checkpoint) -> None:
    trajectory = [epoch.block_parameters for epoch in trained.header.history]
    assert [len(parameters or []) for parameters in trajectory] == [7, 7, 7]
    assert trajectory[0] != trajectory[2]
    network = trained.network()
    assert trajectory[2] == pytest.approx(network.effective_parameters().tolist())  # type: ignore[operator]
    assert read_checkpoint(trained.path).header == trained.header


def test_rows_have_moduli_for_each_block_and_no_verdict(trained: Checkpoint) -> None:
    parameters = trained.header.history[-1].block_parameters
    assert parameters is not None
    wanted = [list(third_order(p).moduli) for p in parameters if p is not None]
    for frame in (training_table([trained]), evaluate([trained], store=None, examples=20), gap([trained], store=None)):
        row = frame.iloc[0]
        assert row["moduli"] is None
        assert row["zero_stable"] is None
        assert row["scheme"] == "zerosnet-tra"
        assert row["block_moduli"] == wanted


@pytest.mark.parametrize(("name", "decays"), [("zerosnet20-tra", False), ("lm-resnet20", True)])
def test_lambdas_do_not_decay(name: str, decays: bool) -> None:
    network = build_network(network_from_name(name), 1, 10, (0.0,), (1.0,))
    groups = parameter_groups(network, 0.1)
    found = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(found) == len(list(network.parameters()))
    for parameter_name, parameter in network.named_parameters():
        spared = parameter_name == "parameters_of_blocks" and not decays
        assert found[id(parameter)] == (0 if spared else 0.1)


def test_lambdas_are_learnt() -> None:
    """A plain step of gradient descent on the loss moves every λ against its gradient."""
    torch.manual_seed(0)
    network = build_network(network_from_name("zerosnet20-tra:widths=4-4-4"), 1, 10, (0.0,), (1.0,))
    optimizer = torch.optim.SGD(parameter_groups(network, 1.0), lr=0.01)
    torch.nn.functional.cross_entropy(network(torch.rand(8, 1, 8, 8)), torch.arange(8)).backward()
    parameters = dict(network.named_parameters())["parameters_of_blocks"]
    assert parameters.grad is not None
    wanted = 1 - 0.01 * parameters.grad
    optimizer.step()
    torch.testing.assert_close(parameters.data, wanted)


STUDY = """
name = "kinds"
networks = ["resnet8:widths=4-4-4", "zerosnet14-tra:widths=4-4-4", "lm-resnet14:widths=4-4-4", "zerosnet14-opt:widths=4-4-4"]
[dataset]
name = "digits"
train_examples = 40
test_examples = 20
[recipe]
epochs = 1
[[perturbations]]
kind = "gaussian"
delta = [0.1, 0.2]
"""


def test_a_study_without_any_roots_is_reported(working_folder: Path) -> None:
    """Nothing can be correlated, and no group is better than the other."""
    Path("kinds.toml").write_text(STUDY.replace('"zerosnet14-opt:widths=4-4-4"', '"resnet14:widths=4-4-4"'))
    run_study("kinds.toml", device="cpu", threads=1)
    text = Path("reports/kinds/report.md").read_text()
    assert not pd.read_csv("reports/kinds/correlations.csv")["finding"].str.startswith("established").any()
    assert "nan" not in text.lower()
    assert pd.read_csv("reports/kinds/degradation.csv").drop(columns="perturbation").isna().all(axis=None)


def test_a_study_of_all_kinds_of_networks_is_reported(working_folder: Path) -> None:
    Path("kinds.toml").write_text(STUDY)
    result = run_study("kinds.toml", device="cpu", threads=1)
    assert result.results["zero_stable"].isna().sum() == 9
    text = Path("reports/kinds/report.md").read_text()
    assert "`zerosnet14-tra:widths=4-4-4`, seed 0:" in text
    assert "of 4 blocks end inside the zero-stable region; λ from" in text
    assert "of 3 blocks end inside the zero-stable region; k from 1." in text
    assert "nan" not in text.lower()
    assert len(pd.read_csv("reports/kinds/results.csv")) == 12
    degradation = pd.read_csv("reports/kinds/degradation.csv")
    assert degradation["drop_zero_stable"].notna().all()
    assert degradation["drop_non_zero_stable"].isna().all()
