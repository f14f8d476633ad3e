from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from robustbench_zs.cli.listing import KINDS
from robustbench_zs.cli.main import main
from robustbench_zs.datasets import LabelledImages
from robustbench_zs.errors import RequestError
from robustbench_zs.gate import compare_networks
from robustbench_zs.networks.spec import network_from_name
from robustbench_zs.networks.table import networks_table
from robustbench_zs.perturbations import GaussianNoise
from robustbench_zs.studies.duration import multiply_adds
from robustbench_zs.training import Checkpoint

Run = Callable[..., Any]


@pytest.fixture
def run(working_folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """The rows that a command prints as JSON."""

    def rows(*arguments: str) -> Any:
        with pytest.raises(SystemExit) as end:
            main([*arguments, "--format", "json"])
        printed = capsys.readouterr()
        assert end.value.code == 0, printed.err
        return json.loads(printed.out)

    return rows


def test_what_there_is_goes_by_the_names_that_commands_take(run: Run, checkpoint: Checkpoint, working_folder: Path) -> None:
    (working_folder / "checkpoints").mkdir()
    shutil.copy(checkpoint.path, working_folder / "checkpoints" / "a.safetensors")
    (working_folder / "data" / "own" / "train").mkdir(parents=True)
    rows = run("list")
    names = {kind: {row["name"]: row["what"] for row in rows if row["kind"] == kind} for kind in KINDS}
    assert "20 networks" in names["studies"]["digits"]
    assert "of training on two cores, an estimate" in names["studies"]["digits"]
    assert names["checkpoints"]["checkpoints/a.safetensors"].endswith("digits, seed 0")
    assert {"autoattack", "pgd"} <= names["attacks"].keys()
    assert names["schemes"]["table10-10"].startswith("zero-stable")
    assert (names["datasets"]["digits"], names["datasets"]["own"]) == ("inside scikit-learn", "in data/own")
    assert names["datasets"]["mnist"] == "not here"
    assert {row["kind"] for row in run("list", "recipes", "attacks")} == {"recipes", "attacks"}


@pytest.mark.parametrize("name", ["resnet20", "zerosnet56-opt", "zerosnet164-opt", "zerosnet34-opt:form=imagenet"])
def test_estimated_arithmetic_is_nearly_that_of_the_network(name: str) -> None:
    spec = network_from_name(name)
    counted = networks_table([spec])["multiply_adds"].item()
    assert multiply_adds(spec, 32 if spec.form == "cifar" else 224) == pytest.approx(counted, rel=0.12)


def test_a_run_without_a_name_says_what_list_says(working_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["run"])
    said = capsys.readouterr()
    assert end.value.code == 2
    assert "one of those above" in said.err
    assert not said.out
    with pytest.raises(SystemExit):
        main(["list", "studies"])
    assert said.err.startswith(capsys.readouterr().out)


def test_two_networks_on_the_same_images(run: Run, checkpoint: Checkpoint, diverged: Checkpoint) -> None:
    rows = run("compare", str(checkpoint.path), str(diverged.path), "--delta", "0.1", "--fgsm", "--examples", "40")
    assert [row["perturbation"] for row in rows] == ["clean", "gaussian(delta=0.1)", "fgsm(eps=0.1)"]
    clean = rows[0]
    assert (clean["second_accuracy"], clean["only_second"]) == (0, 0)
    assert clean["only_first"] == round(0.4 * clean["first_accuracy"])
    assert clean["p"] == pytest.approx(binomtest(0, clean["only_first"]).pvalue)
    assert clean["better"] == str(checkpoint.path)
    assert all(row["adjusted_p"] >= row["p"] for row in rows)


def test_pairs_of_modules_are_compared_by_the_exact_test(digits: LabelledImages) -> None:
    torch.manual_seed(0)
    first, second = (nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(2))
    frame = compare_networks(first, second, [GaussianNoise(0.1)], dataset="digits", store=None)
    with torch.no_grad():
        right = [net(digits.images()).argmax(1) == digits.labels for net in (first, second)]
    lost, won = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
    assert frame["p"].iloc[0] == pytest.approx(binomtest(lost, lost + won).pvalue)
    alike = compare_networks(first, first, dataset="digits", store=None)
    assert (alike["p"].item(), alike["better"].item()) == (1, None)
    with pytest.raises(RequestError, match="alpha"):
        compare_networks(first, second, alpha=1.5)
