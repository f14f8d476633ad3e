from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import binomtest
from torch import Tensor, nn

from robustbench_zs.datasets import LabelledImages
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import Outcomes, measure
from robustbench_zs.perturbations import FGSM, PGD, Perturbation, Square
from robustbench_zs.perturbations.attacks import GradientAttack
from robustbench_zs.perturbations.engines import ENGINES
from robustbench_zs.perturbations.make import ATTACKS
from robustbench_zs.perturbations.parameters import parameters_of
from robustbench_zs.training import Checkpoint

CPU = torch.device("cpu")
each_engine = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture(scope="module")
def network(checkpoint: Checkpoint) -> nn.Module:
    return checkpoint.network().requires_grad_(False)


def attacked(attack: Perturbation, network: nn.Module, data: LabelledImages) -> Tensor:
    return attack(network, data.images(), data.labels, torch.arange(len(data)))


def outcomes(attack: Perturbation | None, network: nn.Module, data: LabelledImages, batch_size: int = 500) -> Outcomes:
    clean = measure(network, data, None, device=CPU, batch_size=batch_size)
    return clean if attack is None else measure(network, data, attack, device=CPU, batch_size=batch_size, clean=clean)


class Linear(nn.Module):
    """Logits linear in the pixels, so that the worst image in the ball is known in closed form."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T


@each_engine
@pytest.mark.parametrize("eps", [0.1, 8 / 255, 0.5])
def test_fgsm_is_one_step_along_the_sign_of_the_gradient(
    network: nn.Module, digits: LabelledImages, engine: str, eps: float
) -> None:
    images = digits.images().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(network(images), digits.labels), images)
    expected = (images.detach() + eps * gradient.sign()).clamp(0, 1)
    # Rounding of x + (x' − x): half a unit in the last place of 1
    torch.testing.assert_close(attacked(FGSM(eps, engine), network, digits), expected, rtol=0, atol=6e-8)


@each_engine
@pytest.mark.parametrize(
    "attack",
    [
        lambda engine: FGSM(0.1, engine),
        lambda engine: PGD(0.1, engine),
        lambda engine: PGD(8 / 255, engine, steps=3, step_size=0.5, restarts=2),
    ],
    ids=["fgsm", "pgd", "pgd-large-steps"],
)
def test_examples_stay_in_the_ball_and_in_the_unit_interval(
    network: nn.Module, digits: LabelledImages, engine: str, attack: Callable[[str], FGSM | PGD]
) -> None:
    chosen, data = attack(engine), digits.first(100)
    examples = attacked(chosen, network, data)
    assert examples.dtype == torch.float32
    assert float((examples.double() - data.images().double()).abs().max()) <= chosen.eps + 6e-8
    assert 0 <= float(examples.min()) <= float(examples.max()) <= 1
    assert not examples.requires_grad


@each_engine
def test_pgd_finds_the_worst_image_of_a_linear_network(digits: LabelledImages, engine: str) -> None:
    torch.manual_seed(0)
    weight = 0.3 * torch.randn(2, 64)
    network = Linear(weight)
    labels = (digits.labels >= 5).long()
    data = LabelledImages(digits.pixels, labels, 2, digits.levels)
    direction = (weight[1] - weight[0]) * torch.where(labels == 0, 1.0, -1.0)[:, None]
    worst = (digits.images().flatten(1) + 0.1 * direction.sign()).clamp(0, 1)
    expected = (worst @ weight.T).argmax(1) == labels
    found = outcomes(PGD(0.1, engine, steps=20, step_size=0.05), network, data)
    clear = ~found.near_ties
    assert 0 < int(expected.sum()) < len(data)
    assert found.correct[clear].tolist() == expected.numpy()[clear].tolist()


@pytest.mark.parametrize("engine", ["native", "torchattacks"])
@pytest.mark.parametrize("eps", [0.05, 0.1])
def test_the_engines_agree_on_pgd_within_sampling_error(
    network: nn.Module, digits: LabelledImages, eps: float, engine: str
) -> None:
    attacks = [PGD(eps, "foolbox", last=True), PGD(eps, engine, last=True), PGD(eps, "foolbox", last=True, seed=2)]
    one, other, again = (outcomes(attack, network, digits).correct for attack in attacks)
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    # McNemar's exact test on the images on which they differ
    assert only_one + only_other == 0 or binomtest(only_one, only_one + only_other).pvalue > 0.01
    # On no more images than on which foolbox differs from itself, from other starts
    differ, by_starts = only_one + only_other, int((one != again).sum())
    assert differ == 0 or binomtest(differ, differ + by_starts, alternative="greater").pvalue > 0.05


def test_our_pgd_is_as_strong_as_foolbox_called_directly(network: nn.Module, digits: LabelledImages) -> None:
    import foolbox

    torch.manual_seed(0)
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(steps=10, abs_stepsize=0.025)
    _, _, fooled = attack(model, digits.images(), digits.labels, epsilons=0.1)
    ours = torch.from_numpy(outcomes(PGD(0.1, "foolbox"), network, digits).correct)
    only_ours, only_theirs = int((ours & fooled).sum()), int((~ours & ~fooled).sum())
    assert only_ours + only_theirs == 0 or binomtest(only_ours, only_ours + only_theirs).pvalue > 0.01


@pytest.mark.parametrize("engine", ["native", "foolbox"])
@pytest.mark.parametrize("make", [FGSM, PGD, partial(PGD, restarts=2)])
def test_the_batch_size_does_not_matter(
    network: nn.Module, digits: LabelledImages, engine: str, make: Callable[[float, str], Perturbation]
) -> None:
    attack = make(0.1, engine)
    small, large = (outcomes(attack, network, digits.first(120), size) for size in (7, 500))
    assert int((small.correct != large.correct).sum()) <= 1


def test_attacks_weaken_the_network_more_the_larger_the_budget(network: nn.Module, digits: LabelledImages) -> None:
    accuracies = [outcomes(None, network, digits).accuracy]
    accuracies += [outcomes(PGD(eps), network, digits).accuracy for eps in (0.02, 0.05, 0.1, 0.2)]
    assert accuracies == sorted(accuracies, reverse=True)
    assert outcomes(PGD(0.1), network, digits).accuracy <= outcomes(FGSM(0.1), network, digits).accuracy + 2


@each_engine
def test_restarts_never_raise_robust_accuracy(network: nn.Module, digits: LabelledImages, engine: str) -> None:
    data = digits.first(150)
    found = [outcomes(PGD(0.05, engine, steps=2, restarts=restarts), network, data) for restarts in (1, 2, 4)]
    assert found[0].accuracy >= found[1].accuracy >= found[2].accuracy
    if engine != "torchattacks":  # the first restart is the attack without restarts, image by image
        assert not (found[1].correct & ~found[0].correct & ~found[0].near_ties).any()


def test_a_restart_whose_answer_is_not_finite_counts_as_fooled(digits: LabelledImages) -> None:
    class NanWhereBright(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            steady = torch.tensor([1.0, 0.0]) + 0 * images.flatten(1)[:, :2]
            return torch.where(images[:, 0, 0, :1] > 0.5, torch.full_like(steady, math.nan), steady)

    data = LabelledImages(torch.full((50, 1, 8, 8), 5, dtype=torch.uint8), torch.zeros(50, dtype=torch.int64), 2, levels=10)
    found = [outcomes(PGD(0.1, steps=1, restarts=restarts), NanWhereBright(), data).accuracy for restarts in (1, 10)]
    assert found[0] == pytest.approx(50, abs=25)
    assert found[1] < 5  # 50 images that each escape ten coin tosses


@each_engine
@pytest.mark.parametrize("attack", [FGSM, PGD])
def test_gradients_that_are_not_finite_give_an_image_all_the_same(
    digits: LabelledImages, attack: type[FGSM | PGD], engine: str
) -> None:
    class NanGradient(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            flat = images.flatten(1)
            return flat[:, :10] + torch.sqrt(flat[:, :10] * 0)

    examples = attacked(attack(0.1, engine), NanGradient().eval(), digits.first(20))
    assert torch.isfinite(examples).all()
    assert float((examples - digits.first(20).images()).abs().max()) <= 0.1 + 6e-8


@each_engine
def test_the_global_generator_is_left_alone_and_plays_no_part(
    network: nn.Module, digits: LabelledImages, engine: str
) -> None:
    data, attack = digits.first(30), PGD(0.1, engine, steps=2)
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = attacked(attack, network, data)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(attacked(attack, network, data), first)
    assert not torch.equal(attacked(PGD(0.1, engine, steps=2, seed=2), network, data), first)


@each_engine
@pytest.mark.parametrize("attack", [FGSM, PGD])
def test_nothing_is_printed_for_a_network_without_parameters(
    digits: LabelledImages, capsys: pytest.CaptureFixture[str], attack: type[FGSM | PGD], engine: str
) -> None:
    class Corner(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1)[:, :10]

    attacked(attack(0.1, engine), Corner().eval(), digits.first(10))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("attack", [FGSM, PGD])
@pytest.mark.parametrize("eps", [0, -0.1, 1.1, math.nan, math.inf, "8/0", "large", None])
def test_budgets_out_of_range_are_refused(attack: type[FGSM | PGD], eps: Any) -> None:
    with pytest.raises(RequestError, match="eps"):
        attack(eps)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"steps": True}, "steps"),
        ({"restarts": 0}, "restarts"),
        ({"step_size": 0}, "step size"),
        ({"step_size": math.nan}, "step size"),
        ({"seed": -1}, "seed"),
        ({"engine": "cleverhans"}, "foolbox, torchattacks"),
    ],
    ids=str,
)
def test_other_values_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        PGD(0.1, **wrong)


def test_text_means_the_number_and_defaults_are_spelt_out() -> None:
    assert PGD("8/255") == PGD(8 / 255, step_size=2 / 255, steps=10)  # type: ignore[arg-type]
    assert FGSM("0.1") == FGSM(0.1)  # type: ignore[arg-type]
    assert PGD("8/255").label == "pgd(eps=8/255, steps=10)"  # type: ignore[arg-type]
    assert PGD(0.1, step_size=0.05, restarts=3).label == "pgd(eps=0.1, steps=10, step_size=0.05, restarts=3)"


def test_the_key_tells_engines_seeds_and_parameters_apart() -> None:
    attacks = [FGSM(0.1), FGSM(0.1, "torchattacks"), PGD(0.1), PGD(0.1, steps=9), PGD(0.1, seed=2), PGD(0.1, restarts=2)]
    keys = [str(attack.key()) for attack in attacks]
    assert len(set(keys)) == len(keys)
    assert PGD(0.1).key() == PGD("1/10", step_size="1/40").key()  # type: ignore[arg-type]


def test_square_asks_for_logits_only_and_stays_in_the_ball(network: nn.Module, digits: LabelledImages) -> None:
    class NoGradient(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = network(images)
            return logits.detach().clone()

    square = Square(0.1, queries=50)
    before = torch.random.get_rng_state()
    images, adversarial = digits.images(), attacked(square, NoGradient(), digits)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert float((adversarial - images).abs().max()) <= 0.1 + 1e-7
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1
    clean, after = outcomes(None, network, digits), outcomes(square, network, digits)
    assert after.accuracy < clean.accuracy - 10
    assert np.array_equal(after.correct, outcomes(square, network, digits).correct)
    assert after.accuracy < outcomes(Square(0.1, queries=1), network, digits).accuracy


@pytest.mark.parametrize("wrong", [{"engine": "foolbox"}, {"queries": 0}, {"queries": 1.5}, {"eps": 0}, {"seed": -1}])
def test_square_refuses_what_is_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        Square(**{"eps": 0.1, **wrong})


@pytest.mark.parametrize("kind", ATTACKS)
def test_every_attack_that_a_library_may_carry_out_says_how(kind: str) -> None:
    (engine,) = (parameter for parameter in parameters_of(ATTACKS[kind]) if parameter.name == "engine")
    says_how = ATTACKS[kind]._by_library is not GradientAttack._by_library  # type: ignore[attr-defined]
    assert (len(engine.meaning.choices) > 1) == says_how
    if not says_how:
        with pytest.raises(RequestError, match="engine"):
            ATTACKS[kind](0.1, "torchattacks")
