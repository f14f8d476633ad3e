"""Networks that are broken or all alike, from a study file to the report, which says what cannot be computed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from torch import Tensor

from robustbench_zs.datasets import load_dataset
from robustbench_zs.studies.load import load_study
from robustbench_zs.studies.plan import make_plan
from robustbench_zs.studies.run import report, run_study
from robustbench_zs.training.checkpoint import save_checkpoint
from robustbench_zs.training.train import train

Weights = dict[str, Tensor]
Change = Callable[[Weights], None]

SCHEMES = '["euler", "preresnet:alpha=2"]'
PERTURBATIONS = """
[[perturbations]]
kind = "gaussian"
delta = [0.1, 0.2]
[[perturbations]]
kind = "pgd"
eps = [0.05, 0.1]
steps = 2
[transfer]
eps = 0.1
steps = 1
[curve]
eps = 0.2
steps = 1
"""


def study(schemes: str = SCHEMES, seeds: str = "[0]", perturbations: str = PERTURBATIONS, decay: float = 1e-4) -> str:
    return f"""
name = "odd"
title = "Odd networks"
schemes = {schemes}
depths = [8]
widths = [2, 2, 2]
seeds = {seeds}
masking_images = 4
[dataset]
name = "digits"
train_examples = 20
test_examples = 12
[recipe]
epochs = 1
batch_size = 10
learning_rate = {0.01 if decay < 1 else 1e6}
weight_decay = {decay}
{perturbations}"""


def nan_weights(weights: Weights) -> None:
    for tensor in weights.values():
        if tensor.is_floating_point():
            tensor.fill_(float("nan"))


def infinite_logits(weights: Weights) -> None:
    weights["head.4.weight"].fill_(float("inf"))


def one_class(weights: Weights, label: int = 3) -> None:
    weights["head.4.weight"].zero_()
    weights["head.4.bias"].zero_()
    weights["head.4.bias"][label] = 5.0


def equal_logits(weights: Weights) -> None:
    weights["head.4.weight"].zero_()
    weights["head.4.bias"].zero_()


def patched(text: str, change: Change) -> Path:
    """The study with its networks trained and then changed, run to its report."""
    Path("odd.toml").write_text(text)
    part = load_study("odd.toml")
    for step in make_plan(part).evaluations:
        task = step.task
        (made,) = train(
            [task.network],
            task.dataset,
            train_examples=task.train_examples,
            test_examples=task.test_examples,
            recipe=task.recipe,
            seeds=[task.seed],
            folder=task.folder,
            device="cpu",
            threads=1,
        )
        network = made.network()
        weights = network.state_dict()
        change(weights)
        network.load_state_dict(weights)
        save_checkpoint(made.path, network, made.header)
    return finished(text)


def finished(text: str) -> Path:
    """The study run to its report; the report again from what is stored alone says the same."""
    Path("odd.toml").write_text(text)
    folder = run_study("odd.toml", device="cpu", threads=1).folder
    said = (folder / "report.md").read_bytes()
    report("odd.toml")
    assert (folder / "report.md").read_bytes() == said
    return folder


def check_report(folder: Path) -> str:
    """The report's text, when all its files are there and no number in them is NaN or infinite."""
    text = (folder / "report.md").read_text(encoding="utf-8")
    page = (folder / "index.html").read_text(encoding="utf-8")
    for content in (text, re.sub(r"data:image/[\w+]+;base64,[\w+/=]+", "", page)):
        assert not re.findall(r"(?i).{0,40}(?<![\w-])(?:nan|inf|infinity|<na>|nat)(?![\w-]).{0,40}", content)
    cells = [cell.strip() for line in text.splitlines() if line.startswith("|") for cell in line.split("|")]
    assert not {"None", "none", "null", "True", "False"} & set(cells)
    for table in sorted(folder.glob("*.csv")):
        content = table.read_text(encoding="utf-8")
        assert not re.search(r"(?i)(^|[,\s\"-])(nan|inf|infinity|none|<na>)($|[,\s\"])", content, re.MULTILINE), table.name
        pd.read_csv(table)
    for table in sorted(folder.glob("*.tex")):
        assert not re.search(r"(?i)(?<!\w)(nan|inf|none)(?!\w)", table.read_text(encoding="utf-8")), table.name
    assert {"report.md", "index.html", "results.csv", "gaps.csv"} <= {p.name for p in folder.iterdir()}
    assert not list(folder.rglob("*.part"))
    for picture in re.findall(r"\]\((\w+\.(?:svg|png))\)", text):
        assert (folder / picture).stat().st_size > 1000
    return text


@pytest.mark.parametrize("change", [nan_weights, infinite_logits])
def test_networks_without_finite_logits_are_right_on_no_image(working_folder: Path, change: Change) -> None:
    folder = patched(study(seeds="[0, 1]"), change)
    text = check_report(folder)
    results = pd.read_csv(folder / "results.csv")
    assert (results["accuracy"] == 0).all()
    assert (results["drop"] == 0).all()
    assert (
        "Largest root modulus and clean accuracy: nothing to predict: the schemes do not differ in this (reliability .00)."
        in text
    )
    assert "no image is classified correctly" in text


def test_diverged_trainings_are_named(working_folder: Path) -> None:
    text = check_report(finished(study(seeds="[0, 1]", decay=1e6)))
    assert "## Diverged trainings" in text
    assert "the loss was not finite in epoch 1" in text


def test_networks_that_predict_one_class(working_folder: Path) -> None:
    folder = patched(study(), one_class)
    check_report(folder)
    results = pd.read_csv(folder / "results.csv")
    share = 100 * float((load_dataset("digits", None, 20, 12).test.labels == 3).float().mean())
    assert (abs(results["accuracy"] - share) < 1e-4).all()


def test_networks_with_equal_logits(working_folder: Path) -> None:
    check_report(patched(study(), equal_logits))


def test_networks_that_are_right_on_no_image(working_folder: Path) -> None:
    """All answer a class that no test image has: nothing can be attacked, and no example can fool."""
    labels = set(load_dataset("digits", None, 20, 12).test.labels.tolist())
    missing = next(label for label in range(10) if label not in labels)
    folder = patched(study(), lambda weights: one_class(weights, missing))
    check_report(folder)
    results = pd.read_csv(folder / "results.csv")
    assert (results["accuracy"] == 0).all()


@pytest.mark.parametrize(
    ("schemes", "seeds"),
    [
        ('["euler"]', "[0]"),
        ('["euler"]', "[0, 1]"),
        (SCHEMES, "[0]"),
        ('["resnet"]', "[0]"),
        ('["zerosnet-tra"]', "[0]"),
    ],
    ids=["one scheme and seed", "one scheme", "one seed", "none with roots", "trainable coefficients"],
)
def test_few_schemes_and_seeds(working_folder: Path, schemes: str, seeds: str) -> None:
    text = check_report(finished(study(schemes, seeds)))
    assert "established, " not in text
    assert "taken together have p = 1.00, so none is stated" in text


def test_schemes_whose_moduli_are_all_alike(working_folder: Path) -> None:
    schemes = ", ".join(f'{{ alphas = ["1"], beta = "{beta}" }}' for beta in (1, 2, 3, "1/2", "1/3"))
    text = check_report(finished(study(f"[{schemes}]", "[0]")))
    assert "established, " not in text


def test_a_study_without_perturbations(working_folder: Path) -> None:
    assert "No perturbation." in check_report(finished(study(seeds="[0]", perturbations="")))
