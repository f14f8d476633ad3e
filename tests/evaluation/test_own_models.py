"""Networks of the user's own, by the name of their factory or as a module at hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import Model, ResultsStore, attack, evaluate, gap
from robustbench_zs.perturbations import PGD, GaussianNoise
from robustbench_zs.training import Checkpoint

OWN = """
import sys

import torch
from torch import nn

def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

def sized(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))

def failing():
    raise ValueError("no such thing")

def leaving():
    sys.exit(1)

def rounding():
    class Rounded(nn.Module):
        def forward(self, images):
            return nn.functional.one_hot((images.sum((1, 2, 3)) * 10).long() % 10, 10).float()
    return Rounded()

def text():
    return "text"

number = 3
"""


@pytest.fixture
def own(working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (working_folder / "own_models.py").write_text(OWN)
    monkeypatch.delitem(sys.modules, "own_models", raising=False)
    return working_folder


def test_a_factory_in_the_working_folder_gives_rows_without_a_scheme(own: Path) -> None:
    frame = evaluate([Model("own_models:linear")], [GaussianNoise(0.1)], dataset="digits", examples=50)
    row = frame.iloc[0]
    assert row["network"] == "own_models:linear"
    assert row[["scheme", "moduli", "zero_stable", "block_moduli"]].isna().all()
    assert frame["seed"].isna().all()
    again = evaluate([Model("own_models:linear")], [GaussianNoise(0.1)], dataset="digits", examples=50, workers=2)
    assert again["digest"].iloc[0] == row["digest"]
    assert again["accuracy"].iloc[0] == row["accuracy"]
    assert ResultsStore().path.exists() is True


def test_weights_decide_and_the_store_is_not_asked(own: Path, checkpoint: Checkpoint) -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    save_file(linear.state_dict(), own / "w.safetensors")
    model = Model("own_models:sized", "w.safetensors", 10)
    first = attack([model], "pgd", eps=0.1, dataset="digits", examples=60)
    direct = attack([linear], "pgd", eps=0.1, dataset="digits", examples=60)
    assert first["accuracy"].tolist() == direct["accuracy"].tolist()
    assert direct["network"].tolist() == ["Sequential"]
    with torch.no_grad():
        next(linear.parameters()).zero_()
    assert attack([linear], "fgsm", eps=0.1, dataset="digits", examples=60)["clean_accuracy"].iloc[0] < 40
    trained = attack([checkpoint.network()], "pgd", eps=0.1, dataset="digits", examples=60)
    assert trained["accuracy"].tolist() == attack([checkpoint], "pgd", eps=0.1, examples=60)["accuracy"].tolist()


def test_gap_and_torchvision(own: Path) -> None:
    frame = gap([Model("own_models:linear")], dataset="digits", examples=40)
    assert frame["train_examples"].tolist() == [1437]
    assert frame["dataset"].tolist() == ["digits"]


def test_a_module_stays_in_the_mode_it_was_in() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10)).train()
    evaluate([module], [PGD(0.1, steps=2)], dataset="digits", examples=20, store=None)
    assert module.training
    assert all(p.requires_grad for p in module.parameters())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model("own_models"), "package.module:factory"),
        (Model("own_models:nothing"), "was not found"),
        (Model("no_such_module:x"), "was not found"),
        (Model("own_models:number"), "not callable"),
        (Model("own_models:text"), "returned str, not a torch.nn.Module"),
        (Model("own_models:failing"), "failed: ValueError: no such thing"),
        (Model("own_models:leaving"), "failed: SystemExit: 1"),
        (Model("own_models:linear", classes=10), "neither num_classes nor classes"),
        (Model("own_models:sized", classes=7), "should give 2×10 logits"),
        (Model("own_models:linear", "nowhere.safetensors"), "there is no file of weights"),
        (Model("own_models:linear", "own_models.py"), "neither by safetensors nor by torch.save"),
        (Model("torchvision.models:resnet18", classes=10), "does not take images of 1×8×8"),
    ],
    ids=str,
)
def test_what_is_refused(own: Path, model: Model, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        evaluate([model], dataset="digits", examples=10)


def test_weights_of_another_network(own: Path) -> None:
    save_file(nn.Linear(3, 3).state_dict(), own / "w.safetensors")
    with pytest.raises(RequestError, match="not those of own_models:linear"):
        evaluate([Model("own_models:linear", "w.safetensors")], dataset="digits", examples=10)


def test_a_model_needs_a_dataset(own: Path) -> None:
    with pytest.raises(RequestError, match="needs a dataset"):
        evaluate([Model("own_models:linear")])


@pytest.mark.parametrize("kind", ["pgd", "fgsm"])
def test_a_network_without_gradients_is_told_what_needs_none(own: Path, kind: str) -> None:
    with pytest.raises(RequestError, match="no gradient with respect to its input: use the attack square"):
        attack([Model("own_models:rounding")], kind, eps=[0.5], dataset="digits", store=None)
