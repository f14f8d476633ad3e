from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustbench_zs.datasets import LabelledImages
from robustbench_zs.errors import RequestError, UnfinishedError
from robustbench_zs.evaluation import NEAR_TIE, Outcomes, measure
from robustbench_zs.evaluation.outcomes import decide, evaluation_mode
from robustbench_zs.perturbations import FGSM, PGD, ConstantNoise, GaussianNoise, Perturbation
from robustbench_zs.training import Checkpoint

CPU = torch.device("cpu")
each_engine = pytest.mark.parametrize("engine", ["foolbox", "torchattacks"])


def outcomes(
    network: nn.Module, data: LabelledImages, perturbation: Perturbation | None = None, size: int = 500
) -> Outcomes:
    clean = measure(network, data, None, device=CPU, batch_size=size)
    return measure(network, data, perturbation, device=CPU, batch_size=size, clean=clean)


class WithoutAnswer(nn.Module):
    """Logits that are not finite."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(10, 64))
        self.value = value

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T + self.value


@pytest.mark.parametrize(
    "perturbation", [None, GaussianNoise(0.3), ConstantNoise(-0.3)], ids=["clean", "gaussian", "constant"]
)
def test_outcomes_are_argmax_against_label(
    checkpoint: Checkpoint, digits: LabelledImages, perturbation: Perturbation | None
) -> None:
    network, images = checkpoint.network(), digits.images()
    if perturbation is not None:
        images = perturbation(network, images, digits.labels, torch.arange(len(digits)))
    with torch.no_grad():
        expected = (network(images).argmax(1) == digits.labels).numpy()
    found = outcomes(network, digits, perturbation)
    assert np.array_equal(found.correct, expected)
    assert found.accuracy == pytest.approx(100 * expected.mean())


@pytest.mark.parametrize("perturbation", [None, GaussianNoise(0.3), FGSM(0.05)], ids=["clean", "gaussian", "fgsm"])
def test_batch_sizes_give_equal_outcomes_but_for_near_ties(
    checkpoint: Checkpoint, digits: LabelledImages, perturbation: Perturbation | None
) -> None:
    one, seven, all_at_once = (outcomes(checkpoint.network(), digits.first(120), perturbation, size) for size in (1, 7, 500))
    for other in (one, seven):
        assert not ((other.correct != all_at_once.correct) & ~other.near_ties & ~all_at_once.near_ties).any()


def test_near_ties_are_where_the_two_largest_logits_are_within_the_tolerance() -> None:
    scale = 100.0
    second = torch.tensor([scale, scale * (1 - 0.9 * NEAR_TIE), scale * (1 - 1.1 * NEAR_TIE), 0.0])
    logits = torch.stack([torch.full((4,), scale), second, torch.zeros(4)], dim=1)
    right, near = decide(logits, torch.zeros(4, dtype=torch.int64))
    assert near.tolist() == [True, True, False, False]
    assert right[1:].all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_logit_that_is_not_finite_makes_the_image_wrong(value: float) -> None:
    logits = torch.tensor([[3.0, 1.0, value], [3.0, 1.0, 0.0], [value, 1.0, 0.0]])
    right, near = decide(logits, torch.tensor([0, 0, 0]))
    assert right.tolist() == [False, True, False]
    assert near.tolist() == [False] * 3


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("perturbation", [None, GaussianNoise(0.1)], ids=["clean", "noise"])
def test_a_network_without_an_answer_is_never_right(
    digits: LabelledImages, perturbation: Perturbation | None, value: float
) -> None:
    assert outcomes(WithoutAnswer(value), digits, perturbation).accuracy == 0


@each_engine
@pytest.mark.parametrize("attack", [FGSM, PGD])
def test_a_network_that_is_never_right_can_be_attacked(
    digits: LabelledImages, attack: type[FGSM | PGD], engine: str
) -> None:
    found = outcomes(WithoutAnswer(math.nan), digits, attack(0.1, engine))
    assert found.accuracy == 0
    assert len(found.correct) == len(digits)


@each_engine
@pytest.mark.parametrize("attack", [FGSM, PGD])
def test_images_that_are_wrong_when_clean_stay_wrong(
    checkpoint: Checkpoint, digits: LabelledImages, attack: type[FGSM | PGD], engine: str
) -> None:
    network = checkpoint.network()
    clean = measure(network, digits, None, device=CPU, batch_size=100)
    assert not clean.correct.all()
    found = measure(network, digits, attack(1e-6, engine), device=CPU, batch_size=100, clean=clean)
    assert not (found.correct & ~clean.correct).any()
    assert found.accuracy == pytest.approx(clean.accuracy, abs=0.5)


def test_an_attack_needs_the_clean_outcomes(checkpoint: Checkpoint, digits: LabelledImages) -> None:
    with pytest.raises(RequestError, match="clean"):
        measure(checkpoint.network(), digits, FGSM(0.1), device=CPU, batch_size=10)


@pytest.mark.parametrize(
    "perturbation",
    [None, GaussianNoise(0.1), FGSM(0.1), PGD(0.1, steps=2), FGSM(0.1, "torchattacks"), PGD(0.1, "torchattacks", steps=2)],
    ids=str,
)
def test_a_network_of_the_users_is_left_as_it_was(digits: LabelledImages, perturbation: Perturbation | None) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 10)
    )
    network.train()
    network[1].eval()
    network[0].requires_grad_(False)
    modes = [module.training for module in network.modules()]
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = outcomes(network, digits.first(60), perturbation, 25)
    assert np.array_equal(found.correct, outcomes(network, digits.first(60), perturbation, 25).correct)
    assert [module.training for module in network.modules()] == modes
    assert [p.requires_grad for p in network.parameters()] == [False, False, True, True, True, True]
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_the_mode_is_restored_after_an_error_too() -> None:
    network = nn.Linear(2, 2).train()
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    inside: list[bool] = []

    def fail() -> None:
        with evaluation_mode(network):
            inside.extend([network.training, network.weight.requires_grad, torch.backends.cuda.matmul.allow_tf32])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert inside == [False, False, False]
    assert network.training
    assert network.weight.requires_grad
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == tf32


def test_running_out_of_memory_names_the_remedy(digits: LabelledImages) -> None:
    class Hungry(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise torch.OutOfMemoryError

    with pytest.raises(UnfinishedError, match="smaller batch size"):
        measure(Hungry(), digits, None, device=CPU, batch_size=10)
