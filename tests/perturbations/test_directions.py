"""Gradients in bfloat16: an example counts only by float32, and what is found is as much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from torch import Tensor, nn

from robustbench_zs.datasets import LabelledImages
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import evaluate, measure
from robustbench_zs.perturbations import APGD, FGSM, PGD, AutoAttack, Square
from robustbench_zs.perturbations.make import make_attacks
from robustbench_zs.perturbations.native import Found, faster_directions, passes
from robustbench_zs.training import Checkpoint

CPU = torch.device("cpu")
BFLOAT16 = PGD(0.1, directions="bfloat16")


class Forked(nn.Module):
    """One network for float32, another for autocast."""

    def __init__(self, in_float32: nn.Module, in_bfloat16: nn.Module) -> None:
        super().__init__()
        self.in_float32, self.in_bfloat16 = in_float32, in_bfloat16

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = (self.in_bfloat16 if torch.is_autocast_enabled("cpu") else self.in_float32)(images)
        return logits


class Constant(nn.Module):
    """The same logits for every image, with a gradient that is nearly nothing."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor(self.logits) + 1e-9 * images.flatten(1).sum(1, keepdim=True) * torch.arange(len(self.logits))


class SometimesNaN(nn.Module):
    """A network with no answer to images of an odd number."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        bright = images.flatten(1).mean(1, keepdim=True) > 0.3
        logits: Tensor = self.network(images)
        return torch.where(bright, torch.nan, logits)


def found(network: nn.Module, data: LabelledImages, attack: PGD = BFLOAT16) -> Found:
    return attack.search(network, data, range(len(data)), device=CPU, batch_size=64, examples=True)


def standing(network: nn.Module, data: LabelledImages, attack: PGD) -> Any:
    clean = measure(network, data, None, device=CPU, batch_size=360)
    return measure(network, data, attack, device=CPU, batch_size=360, clean=clean).correct


@pytest.fixture(scope="module")
def network(checkpoint: Checkpoint) -> nn.Module:
    return checkpoint.network().requires_grad_(False)


@pytest.fixture(scope="module")
def blank() -> LabelledImages:
    return LabelledImages(torch.zeros(5, 1, 8, 8, dtype=torch.uint8), torch.zeros(5, dtype=torch.int64), 2, levels=17)


def test_what_only_bfloat16_takes_for_an_example_is_none(blank: LabelledImages) -> None:
    assert np.isinf(found(Forked(Constant(1, 0), Constant(0, 1)), blank).fooled_at).all()


def test_what_bfloat16_does_not_see_is_found_at_the_last_iterate(blank: LabelledImages) -> None:
    assert (found(Forked(Constant(0, 1), Constant(1, 0)), blank).fooled_at == 0.1).all()


def test_a_target_is_reached_by_float32_alone(blank: LabelledImages) -> None:
    attack, one, other = PGD(0.1, target="1", directions="bfloat16"), Constant(0, 1, 0), Constant(0, 0, 1)
    data = LabelledImages(blank.pixels, blank.labels, 3, levels=17)
    assert np.isinf(found(Forked(other, one), data, attack).fooled_at).all()  # wrong, but not what is wanted
    assert (found(Forked(one, other), data, attack).fooled_at == 0.1).all()


@pytest.mark.parametrize("half", [Constant(*[torch.nan] * 10), nn.Sequential(nn.Flatten(), nn.Linear(64, 10))])
def test_images_without_a_direction_in_bfloat16_go_on_in_float32(
    network: nn.Module, digits: LabelledImages, half: nn.Module
) -> None:
    for parameter in half.parameters():
        nn.init.zeros_(parameter)
    data = digits.first(80)
    mixed, exact = found(Forked(network, half), data), found(network, data, PGD(0.1, directions="float32"))
    assert np.array_equal(mixed.fooled_at, exact.fooled_at)
    assert mixed.examples is not None
    assert exact.examples is not None
    assert torch.equal(mixed.examples, exact.examples)


def test_only_the_images_without_a_direction_do(network: nn.Module, digits: LabelledImages) -> None:
    passed: list[int] = []
    exact = nn.Sequential(network)
    exact.register_forward_pre_hook(lambda _, given: passed.append(len(given[0]) if given[0].requires_grad else 0))
    mixed = found(Forked(exact, SometimesNaN(network)), digits.first(80))
    assert sum(passed) > 0
    passed_by_all, passed[:] = sum(passed), []
    found(exact, digits.first(80), PGD(0.1, directions="float32"))
    assert passed_by_all < 0.9 * sum(passed)
    assert np.isfinite(mixed.fooled_at).any()


@settings(max_examples=8, deadline=None)
@given(power=st.integers(0, 60), seed=st.integers(0, 1000))
def test_large_statistics_of_batch_norm_change_nothing(digits: LabelledImages, power: int, seed: int) -> None:
    """Networks that are not zero-stable have variances up to 1e20 and more; powers of two only move exponents."""
    torch.manual_seed(seed)
    convolution, norm = nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8, eps=1e-30)
    small = nn.Sequential(convolution, norm, nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10)).requires_grad_(False)
    data, attack = digits.first(60), PGD(0.02, directions="bfloat16")
    small(data.images())
    data = LabelledImages(data.pixels, small.eval()(data.images()).argmax(1), 10, levels=digits.levels)
    before = found(small, data, attack)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    convolution.weight.mul_(2.0**power)
    norm.running_mean.mul_(2.0**power)
    norm.running_var.mul_(4.0**power)
    assert np.array_equal(before.fooled_at, found(small, data, attack).fooled_at)


@pytest.mark.parametrize("attack", [*map(PGD, (0.02, 0.05, 0.1)), PGD(0.2, target="next")], ids=lambda a: a.label)
def test_what_is_found_is_as_much(network: nn.Module, digits: LabelledImages, attack: PGD) -> None:
    """As in float32, and as foolbox finds from the same starts with the last iterate alone (McNemar's exact test)."""
    half = standing(network, digits, attack.with_directions("bfloat16"))
    for other in (attack, *([] if attack.target else [PGD(attack.eps, "foolbox")])):
        theirs = standing(network, digits, other)
        only_half, only_theirs = int((half & ~theirs).sum()), int((theirs & ~half).sum())
        assert only_half <= 1 or binomtest(only_half, only_half + only_theirs, alternative="greater").pvalue > 0.01


def test_a_diverged_network_has_no_answers_in_bfloat16_either(diverged: Checkpoint, digits: LabelledImages) -> None:
    network, data = diverged.network().requires_grad_(False), digits.first(40)
    exact = found(network, data, PGD(0.1, directions="float32"))
    assert np.array_equal(exact.fooled_at, found(network, data).fooled_at)


def test_keys_of_float32_are_what_they_were() -> None:
    key = {"kind": "pgd", "eps": 0.1, "engine": "native", "steps": 10, "restarts": 1, "seed": 1, "step_size": 0.025}
    assert PGD(0.1).key() == PGD(0.1, directions="float32").key() == key
    assert BFLOAT16.key() == {**key, "directions": ["bfloat16", passes.SUSPECT]}  # the tolerance decides results
    assert "directions" not in PGD(0.1, "foolbox").key()
    assert PGD(0.1, target="3", directions="bfloat16").key() == {**BFLOAT16.key(), "target": "3"}


def test_directions_that_are_left_open_are_chosen_once() -> None:
    assert PGD(0.1).with_directions("bfloat16") == BFLOAT16
    assert BFLOAT16.with_directions("float32") == BFLOAT16
    assert PGD(0.1, "foolbox").with_directions("bfloat16") == PGD(0.1, "foolbox")
    assert FGSM(0.1).with_directions("bfloat16") == FGSM(0.1)
    assert PGD(0.1, below=(0.05,), directions="bfloat16").rungs[0] == PGD(0.05, directions="bfloat16")
    attacks = (BFLOAT16, PGD(0.1), APGD(0.1), AutoAttack(0.1), PGD(0.1, "foolbox"), Square(0.1))
    assert [p.directions_or_none for p in attacks] == ["bfloat16", "float32", "float32", "float32", None, None]


def test_bfloat16_is_for_images_that_are_large_enough_where_the_processor_has_it() -> None:
    assert faster_directions(CPU, (3, 8, 8)) == "float32"
    assert faster_directions(torch.device("meta"), (3, 32, 32)) == "float32"
    has = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    assert faster_directions(CPU, (3, 32, 32)) == ("bfloat16" if has else "float32")


def test_results_that_are_known_in_float32_are_not_computed_again(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "MIN_PIXELS", 1)
    options: dict[str, Any] = {"examples": 60, "store": tmp_path / "r.sqlite", "threads": 1}
    fast = faster_directions(CPU, (1, 8, 8))

    def directions(*attacks: PGD | FGSM) -> list[str]:
        return evaluate([checkpoint], attacks, **options)["directions"].to_list()

    assert directions(PGD(0.05), FGSM(0.1)) == [fast, "float32"]
    assert directions(PGD(0.1, directions="float32")) == ["float32"]
    assert directions(PGD(0.1)) == ["float32"]
    assert directions(PGD(0.05), PGD(0.1)) == [fast, fast]  # of attacks together, all or none
    assert evaluate([checkpoint.network()], [PGD(0.1)], dataset="digits", **options)["directions"][0] == "float32"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PGD(0.1, directions="float16"), "directions of pgd must be one of"),  # type: ignore[arg-type]
        (lambda: PGD(0.1, "foolbox", directions="bfloat16"), "foolbox computes no directions"),
        (lambda: make_attacks("apgd", [0.1], directions="bfloat16"), "apgd takes no directions"),
        (lambda: make_attacks("fgsm", [0.1], directions="bfloat16"), "fgsm takes no directions"),
    ],
)
def test_directions_that_there_are_not_are_refused(make: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        make()
