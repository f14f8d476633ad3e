"""Expectation over transformation: networks whose answers depend on chance have accuracies over draws."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn

from robustbench_zs.cli.main import main
from robustbench_zs.datasets import LabelledImages, load_dataset
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import attack, evaluate, expected_accuracy
from robustbench_zs.perturbations import APGD, FGSM, PGD, GaussianNoise, Perturbation
from robustbench_zs.perturbations.expectation import Expectation

FEW = 60


@pytest.fixture(scope="module")
def linear() -> nn.Linear:
    train = load_dataset("digits").train
    torch.manual_seed(0)
    layer = nn.Linear(64, 10)
    optimizer = torch.optim.Adam(layer.parameters(), 0.05)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(layer(train.images().flatten(1)), train.labels).backward()
        optimizer.step()
    return layer.requires_grad_(False)


class Noisy(nn.Module):
    """Noise of the input, and more of the gradient, of which the mean is 0."""

    def __init__(self, layer: nn.Linear, noise: float = 0.05, misleading: float = 0.0) -> None:
        super().__init__()
        self.layer, self.noise, self.misleading = layer, noise, misleading

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        still = flat - flat.detach()  # 0, with a gradient
        wrong = self.misleading * (still[:, None] * torch.randn(len(flat), 10, 64)).sum(2)
        return torch.as_tensor(self.layer(flat + self.noise * torch.randn_like(flat))) + wrong


@pytest.mark.parametrize(
    "made",
    [FGSM(0.1), PGD(0.1, steps=4, last=True, directions="float32"), PGD(1, norm="l2", last=True, directions="float32")],
)
def test_of_a_network_without_chance_it_is_the_attack(linear: nn.Linear, digits: LabelledImages, made: FGSM | PGD) -> None:
    network = nn.Sequential(nn.Flatten(), linear)
    indices = torch.arange(FEW)
    batch = (digits.images(indices), digits.labels[indices], indices)
    assert torch.allclose(Expectation(made, 3)(network, *batch), made(network, *batch), atol=1e-6)


def by_chance(*shares: tuple[float, int]) -> float:
    """How far, in points, chance takes the difference of two accuracies at most, 99 times in 100 and to one side.

    Each of them is a percentage of so many trials, with the binomial standard error √(p (1 − p) / trials). Trials are images
    where an attack draws too, since what it draws for an image is common to all verdicts on it; they are images times draws
    where only verdicts draw. On images of unequal difficulty that is an upper bound.
    """
    return float(norm.isf(0.01) * np.sqrt(sum(p * (100 - p) / trials for p, trials in shares)))


def test_mean_gradients_find_what_single_ones_miss(linear: nn.Linear, digits: LabelledImages) -> None:
    network = Noisy(linear, noise=0.02, misleading=40.0)
    torch.manual_seed(0)
    one = attack([network], eps=0.15, last=True, dataset="digits", store=None)["accuracy"].item()
    many = expected_accuracy([network], [PGD(0.15)], draws=64, dataset="digits")
    found = many["accuracy"].item()
    assert found < one - by_chance((found, len(digits)), (one, len(digits)))
    assert many["draws"].item() == 64
    assert many["warning"].item() is None


def test_as_strong_as_torchattacks(linear: nn.Linear, digits: LabelledImages) -> None:
    torchattacks = pytest.importorskip("torchattacks")
    network, images, labels = Noisy(linear, misleading=10.0).eval(), digits.images(), digits.labels
    torch.manual_seed(0)
    changed = torchattacks.EOTPGD(network, eps=0.1, alpha=0.025, steps=10, eot_iter=16)(images, labels)
    theirs = 100 * float(np.mean([float((network(changed).argmax(1) == labels).float().mean()) for _ in range(16)]))
    ours = expected_accuracy([network], [PGD(0.1)], draws=16, dataset="digits")["accuracy"].item()
    assert ours <= theirs + by_chance((ours, len(digits)), (theirs, len(digits)))


def test_accuracies_are_means_over_draws(linear: nn.Linear, digits: LabelledImages) -> None:
    network = Noisy(linear, noise=0.3)
    options: dict[str, Any] = {"draws": 50, "dataset": "digits", "examples": FEW}
    row = expected_accuracy([network], **options).iloc[0]
    torch.manual_seed(0)
    with torch.no_grad():
        images, labels = digits.images()[:FEW].repeat(200, 1, 1, 1), digits.labels[:FEW].repeat(200)
        direct = 100 * float((network(images).argmax(1) == labels).float().mean())
    assert abs(row["accuracy"] - direct) <= by_chance((row["accuracy"], 50 * FEW), (direct, 200 * FEW))
    assert row["ci_low"] <= row["accuracy"] <= row["ci_high"]
    assert (row["examples"], row["drop"], row["perturbation"]) == (FEW, 0, "clean")
    again = expected_accuracy([network], **options).iloc[0]
    assert again["accuracy"] == row["accuracy"]
    before = torch.get_rng_state()
    expected_accuracy([network], [GaussianNoise(0.1), FGSM(0.1)], **options)
    assert (torch.get_rng_state() == before).all()


def test_draws_are_part_of_the_key(linear: nn.Linear) -> None:
    made = PGD(0.1, last=True)
    keys = [made.key(), Expectation(made, 4).key(), Expectation(made, 8).key()]
    assert len({json.dumps(key, sort_keys=True) for key in keys}) == 3
    assert Expectation(made, 8).label == "pgd(eps=0.1, steps=10, eot=8)"


def test_networks_without_chance_are_shown_once_beside_others_and_refused_alone(linear: nn.Linear) -> None:
    still, options = nn.Sequential(nn.Flatten(), linear), {"dataset": "digits", "examples": FEW}
    frame = expected_accuracy([still, Noisy(linear)], [PGD(0.1)], draws=4, **options)  # type: ignore[arg-type]
    assert frame["draws"].tolist() == [1, 4]
    plain = attack([still], eps=0.1, last=True, directions="float32", store=None, **options)  # type: ignore[arg-type]
    assert frame["accuracy"].iloc[0] == pytest.approx(plain["accuracy"].item())
    with pytest.raises(RequestError, match="none of these networks has random outputs"):
        expected_accuracy([still], draws=4, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("made", [APGD(0.1), PGD(0.1, restarts=2), PGD(0.1, target="next"), FGSM(0.1, "foolbox")])
def test_attacks_that_do_not_go_with_it(linear: nn.Linear, made: Perturbation) -> None:
    with pytest.raises(RequestError, match="expectation over transformation"):
        expected_accuracy([Noisy(linear)], [made], draws=4, dataset="digits", examples=FEW)


Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def run(working_folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    (working_folder / "chance.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Noisy(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.layer = nn.Linear(64, 10)\n"
        "    def forward(self, x):\n        return self.layer(x.flatten(1) + 0.1 * torch.randn(len(x), 64))\n"
        "def still():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
    )

    def code_and_output(*arguments: str) -> tuple[int, Any]:
        with pytest.raises(SystemExit) as end:
            main([*arguments, "--dataset", "digits", "--examples", "20"])
        return int(end.value.code or 0), capsys.readouterr()

    return code_and_output


def test_on_the_command_line(run: Run) -> None:
    models = ["--model", "chance.py:Noisy", "--model", "chance.py:still"]
    for command, labels in (
        (["attack", "--pgd", "--eps", "0.05,0.1"], ["pgd(eps=0.05, steps=10, eot=4)", "pgd(eps=0.1, steps=10, eot=4)"]),
        (["attack", "--fgsm"], ["fgsm(eps=0.1, eot=4)"]),
        (["evaluate", "--noise", "gaussian", "--delta", "0.1"], ["gaussian(delta=0.1)"]),
    ):
        code, printed = run(*command, *models, "--eot", "4", "--format", "json")
        assert code == 0, printed.err
        rows = json.loads(printed.out)
        assert [row["perturbation"] for row in rows if row["draws"] == 4] == labels
        assert "outputs are random" not in printed.err
    assert "Add --eot N" in run("evaluate", *models)[1].err
    for arguments in (["evaluate"], ["evaluate", *models, "--eot", "1"], ["attack", "--attack", "apgd", *models]):
        code, printed = run(*arguments, *([] if "--eot" in arguments else ["--eot", "4"]))
        assert (code, "--eot" in printed.err or "expectation" in printed.err) == (2, True)


def test_evaluating_without_it_warns(linear: nn.Linear) -> None:
    frame = evaluate([Noisy(linear)], dataset="digits", examples=FEW, store=None)
    assert "expectation over transformation" in frame["warning"].item()
