"""An attack and a dataset that the package does not know need their own code and one line, as CONTRIBUTING says; then every
way to ask for them is there. `tests/evaluation/test_questions.py` adds a question."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from robustbench_zs.cli.main import main
from robustbench_zs.datasets import KNOWN, Dataset, LabelledImages, load_dataset
from robustbench_zs.datasets.digits import load_digits
from robustbench_zs.datasets.known import DatasetFacts
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import attack, evaluate
from robustbench_zs.perturbations import draws
from robustbench_zs.perturbations.attacks import DEFAULT_ENGINE, DEFAULT_SEED, Attack, AttackSeed, carried_out_by
from robustbench_zs.perturbations.make import ATTACKS
from robustbench_zs.perturbations.parameters import Meaning
from robustbench_zs.reporting.commands import command_of
from robustbench_zs.studies.run import run_study
from robustbench_zs.studies.study import Study
from robustbench_zs.training import Checkpoint


@dataclass(frozen=True)
class Corners(Attack):
    """Corners of the L∞ ball at random, of which the last one that fools the network counts."""

    engine: Annotated[str, carried_out_by(DEFAULT_ENGINE)] = DEFAULT_ENGINE
    corners: Annotated[int, Meaning("How many corners are tried per image.", 1, 1000, shown=True)] = 4
    seed: AttackSeed = DEFAULT_SEED
    kind: ClassVar[str] = "corners"

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        found = images
        for part in range(self.corners):
            unit = draws.uniform(self.seed, draws.SQUARES, indices, tuple(images.shape[1:]), part).to(images.device)
            corner = (images + self.eps * (unit - 0.5).sign()).clamp(0, 1)
            with torch.no_grad():
                fooled = network(corner).argmax(1) != labels
            found = torch.where(fooled[:, None, None, None], corner, found)
        return self.verified(images, found)


def load_upside_down(folder: Path) -> Dataset:
    """The digits, upside down."""
    digits = load_digits()

    def split(name: str) -> LabelledImages:
        images = digits.split(name)
        assert isinstance(images, LabelledImages)
        return replace(images, pixels=images.pixels.flip(2))

    return Dataset("upside-down", digits.classes, split, digits.class_names)


UPSIDE_DOWN = DatasetFacts(load_upside_down, (1, 8, 8), 10, {"train": 1437, "test": 360}, eps="0.15")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ATTACKS, "corners", Corners)
    monkeypatch.setitem(KNOWN, "upside-down", UPSIDE_DOWN)


STUDY = """
name = "mine"
schemes = ["euler"]
depths = [8]
widths = [2, 2, 2]
masking_images = 0
recipe = {epochs = 1}
dataset = {name = "upside-down", train_examples = 40, test_examples = 20}
perturbations = [{kind = "corners", eps = ["1/10", "2/10"], corners = 3}]
"""


@pytest.mark.usefixtures("registered")
def test_a_new_attack_can_be_asked_for_in_every_way(
    checkpoint: Checkpoint, working_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, Any] = {"examples": 40, "threads": 1, "store": None}
    value = Corners(0.2, corners=3)
    assert value.label == "corners(eps=0.2, corners=3)"
    alone = evaluate([checkpoint], [value], **options).iloc[0]
    assert alone["accuracy"] < alone["clean_accuracy"]
    by_name = attack([checkpoint], "corners", eps="2/10", corners=3, steps=7, **options).iloc[0]
    assert by_name["accuracy"] == alone["accuracy"]

    command = command_of(value)
    assert command == "attack --attack corners --eps 0.2 --corners 3"
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--examples", "40", "--format", "json", str(checkpoint.path)])
    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out)[0]["accuracy"] == alone["accuracy"]

    Path("mine.toml").write_text(STUDY)
    results = run_study("mine.toml", threads=1).results
    assert results["perturbation"].tolist()[1:] == ["corners(eps=0.1, corners=3)", "corners(eps=0.2, corners=3)"]
    assert set(results["dataset"]) == {"upside-down"}
    assert "--attack corners --eps 0.2 --corners 3" in Path("reports/mine/report.md").read_text()


@pytest.mark.usefixtures("registered")
def test_a_new_data_set_is_known_by_its_name(checkpoint: Checkpoint) -> None:
    first = load_dataset("upside-down").test.images(torch.tensor([0]))
    assert torch.equal(first.flip(2), load_dataset("digits").test.images(torch.tensor([0])))
    row = attack([checkpoint], "fgsm", dataset="upside-down", examples=40, threads=1, store=None).iloc[0]
    assert row["perturbation"] == "fgsm(eps=0.15)"
    assert row["clean_accuracy"] < 60
    with pytest.raises(ValueError, match="upside-down has 360 test images, not 361"):
        Study.model_validate(
            {"name": "mine", "schemes": ["euler"], "dataset": {"name": "upside-down", "test_examples": 361}}
        )


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"corners": 0}, "corners of corners must be a whole number from 1 to 1000, not 0"),
        ({"norm": "l2"}, "corners takes no norm: only pgd, apgd"),
        ({"engine": "foolbox"}, "corners takes no engine"),
    ],
    ids=str,
)
def test_what_a_new_attack_refuses_is_said_in_one_sentence(checkpoint: Checkpoint, wrong: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        attack([checkpoint], "corners", eps=0.1, examples=5, store=None, **wrong)
