from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from robustbench_zs.datasets import LabelledImages
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import ResultsStore, evaluate
from robustbench_zs.evaluation.questions import Accuracy
from robustbench_zs.perturbations import PGD, AutoAttack
from robustbench_zs.perturbations import auto_attack as auto_attack_module
from robustbench_zs.perturbations.engines import torchattacks_engine
from robustbench_zs.perturbations.make import make_attacks
from robustbench_zs.training import Checkpoint

EXAMPLES = 8


def correct(store: ResultsStore, checkpoint: Checkpoint, data: LabelledImages, attack: PGD | AutoAttack) -> list[bool]:
    data = data.first(EXAMPLES)
    found = store.get(Accuracy(attack), checkpoint.digest, data)
    assert found is not None
    return [bool(right) for right in found.correct]


@pytest.mark.parametrize("engine", ["native", "torchattacks"])
def test_what_pgd_or_a_smaller_budget_fooled_stays_fooled(
    checkpoint: Checkpoint, digits: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    store = ResultsStore(tmp_path / "results.sqlite")
    for place in (torchattacks_engine, auto_attack_module):
        monkeypatch.setattr(place, "AUTO_QUERIES", 50)  # each image that stands takes all of them
        monkeypatch.setattr(place, "AUTO_STEPS", 10)
    attacks = make_attacks("autoattack", [0.08, 0.12], steps=3, engine=engine)
    module = sys.modules["robustbench_zs.evaluation.questions.accuracy"]
    climbs: list[PGD] = []
    measure_rungs = module.measure_rungs

    def noted(network: nn.Module, data: LabelledImages, attack: PGD, **options: Any) -> Any:
        climbs.append(attack)
        return measure_rungs(network, data, attack, **options)

    monkeypatch.setattr(module, "measure_rungs", noted)
    frame = evaluate([checkpoint], attacks, examples=EXAMPLES, store=store.path, threads=1)
    assert frame["perturbation"].tolist() == ["autoattack(eps=0.08, steps=3)", "autoattack(eps=0.12, steps=3, ladder)"]
    pgd = [attack for attack in climbs if isinstance(attack, PGD)]
    assert pgd == [PGD(0.12, steps=3, below=(0.08,))]  # once for all ε
    before = [True] * EXAMPLES
    for attack in attacks:
        assert isinstance(attack, AutoAttack)
        assert attack.pgd is not None
        after = correct(store, checkpoint, digits, attack)
        first = correct(store, checkpoint, digits, attack.pgd)  # stored as a result of its own
        assert all(not now or (one and then) for now, one, then in zip(after, first, before, strict=True))
        before = after


def test_it_fools_images_whose_loss_has_no_gradient_for_pgd(checkpoint: Checkpoint, digits: LabelledImages) -> None:
    network, data = Saturated(checkpoint.network()), digits.first(EXAMPLES)
    frame = evaluate([network], [PGD(0.15), AutoAttack(0.15)], dataset="digits", examples=EXAMPLES, store=None, threads=1)
    pgd, auto = frame["accuracy"]
    assert auto < pgd / 2
    assert pgd > 80
    attack = AutoAttack(0.15)
    examples = attack(network.eval(), data.images(), data.labels, torch.arange(EXAMPLES))
    assert float((examples - data.images()).abs().max()) <= attack.eps + 1e-6
    assert 0 <= float(examples.min()) <= float(examples.max()) <= 1


class Saturated(nn.Module):
    """Logits so large that cross-entropy is exactly 0 at every image and around it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 1e6 * self.network(images)  # type: ignore[no-any-return]


def test_a_network_that_gives_no_finite_answer_is_not_attacked(diverged: Checkpoint) -> None:
    frame = evaluate([diverged], [AutoAttack(0.1)], examples=EXAMPLES, store=None, threads=1)
    assert frame["accuracy"].tolist() == [0.0]


@pytest.mark.parametrize("engine", ["native", "torchattacks"])
def test_too_few_classes_are_refused_in_a_sentence(digits: LabelledImages, engine: str) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).requires_grad_(False)
    images = digits.first(4).images()
    standing = network(images).argmax(1)
    with pytest.raises(RequestError, match=r"needs at least 4 classes, but this network has 3"):
        AutoAttack(1e-6, engine)(network, images, standing, torch.arange(4))


@pytest.mark.parametrize(
    "made",
    [
        lambda: AutoAttack(0.1, engine="foolbox"),
        lambda: AutoAttack(0.1, steps=0),
        lambda: AutoAttack(0.1, below=(0.2,)),
        lambda: make_attacks("autoattack", [0.1], loss="dlr"),
        lambda: make_attacks("autoattack", [0.1], step_size="0.01"),
    ],
)
def test_settings_that_it_does_not_have_are_refused(made: object) -> None:
    assert callable(made)
    with pytest.raises(RequestError):
        made()
