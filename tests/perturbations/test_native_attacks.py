from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from robustbench_zs.datasets import LabelledImages
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import Outcomes, evaluate, measure
from robustbench_zs.evaluation.outcomes import measure_fgsm, measure_rungs
from robustbench_zs.perturbations import APGD, FGSM, PGD, GradientAttack
from robustbench_zs.perturbations.make import make_attacks
from robustbench_zs.perturbations.native import (
    LOSSES,
    APGDRule,
    Found,
)
from robustbench_zs.perturbations.native.passes import CLEAR
from robustbench_zs.reporting.commands import command_of
from robustbench_zs.training import Checkpoint

CPU = torch.device("cpu")
ATTACKS = [
    FGSM(0.1),
    PGD(0.1),
    PGD(0.1, restarts=3, steps=2, loss="dlr"),
    PGD(1.0, norm="l2", loss="margin"),
    PGD(0.1, last=True),
    APGD(0.1, steps=20),
    APGD(1.0, norm="l2", steps=20),
    PGD(0.1, below=(0.02, 0.05)),
    PGD(0.1, below=(0.06,), restarts=2, steps=4),
    PGD(1.0, norm="l2", below=(0.6,)),
    PGD(0.1, directions="bfloat16"),
    PGD(1.0, norm="l2", below=(0.6,), restarts=2, directions="bfloat16"),
]
each_attack = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.label}-{attack.directions_or_none}")


class Scaled(nn.Module):
    """Logits that are so large that cross-entropy's gradient vanishes on most images."""

    def __init__(self, network: nn.Module, factor: float = 1000) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return self.factor * logits


@pytest.fixture(scope="module")
def network(checkpoint: Checkpoint) -> nn.Module:
    return checkpoint.network().requires_grad_(False)


@pytest.fixture(scope="module")
def networks(network: nn.Module) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(False)
    return {name: n.eval() for name, n in {"trained": network, "scaled": Scaled(network), "untrained": linear}.items()}


def outcomes(attack: Any, network: nn.Module, data: LabelledImages, batch_size: int = 500) -> Outcomes:
    clean = measure(network, data, None, device=CPU, batch_size=batch_size)
    return measure(network, data, attack, device=CPU, batch_size=batch_size, clean=clean)


def searched(
    attack: GradientAttack, network: nn.Module, data: LabelledImages, chosen: Sequence[int] | None = None, size: int = 64
) -> Found:
    everything = range(len(data)) if chosen is None else chosen
    return attack.search(network, data, everything, device=CPU, batch_size=size, examples=True)


@each_attack
@pytest.mark.parametrize("name", ["trained", "scaled", "untrained"])
def test_examples_stay_in_the_ball_and_fool_the_network_alone(
    networks: dict[str, nn.Module], digits: LabelledImages, attack: GradientAttack, name: str
) -> None:
    network, data = networks[name], digits.first(100)
    right = measure(network, data, None, device=CPU, batch_size=100).correct
    chosen = np.flatnonzero(right)
    found = searched(attack, network, data, chosen.tolist())
    assert found.examples is not None
    images, labels = data.images(torch.from_numpy(chosen)), data.labels[torch.from_numpy(chosen)]
    change = (found.examples.double() - images.double()).flatten(1)
    lengths = change.abs().amax(1) if attack.ball == "linf" else change.norm(dim=1)
    assert float(lengths.max()) <= attack.eps * (1 + 1e-6) + 6e-8
    assert 0 <= float(found.examples.min()) <= float(found.examples.max()) <= 1
    for place in np.flatnonzero(np.isfinite(found.fooled_at)):
        logits = network(found.examples[place : place + 1])[0]
        assert int(logits.argmax()) != int(labels[place])
        assert lengths[place] <= found.fooled_at[place] * (1 + 1e-6) + 6e-8


@each_attack
def test_outcomes_do_not_depend_on_the_batch_size(
    networks: dict[str, nn.Module], digits: LabelledImages, attack: GradientAttack
) -> None:
    data = digits.first(40)
    for network in networks.values():
        found = [outcomes(attack, network, data, size).correct for size in (1, 7, 500)]
        assert all(int((a != b).sum()) <= 1 for a, b in pairwise(found))


@pytest.mark.parametrize("eps", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("name", ["trained", "scaled", "untrained"])
def test_pgd_is_at_least_as_strong_as_the_libraries(
    networks: dict[str, nn.Module], digits: LabelledImages, name: str, eps: float
) -> None:
    """Called as their own documentation has it, and from their own random starts."""
    import foolbox
    import torchattacks

    network = networks[name]
    torch.manual_seed(0)
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(steps=10, abs_stepsize=eps / 4)
    _, _, fooled = attack(model, digits.images(), digits.labels, epsilons=eps)
    theirs = torchattacks.PGD(network, eps=eps, alpha=eps / 4, steps=10)(digits.images(), digits.labels)
    with torch.no_grad():
        standing = {"foolbox": ~fooled, "torchattacks": network(theirs).argmax(1) == digits.labels}
    ours = outcomes(PGD(eps), network, digits).correct
    for name, them in standing.items():
        assert as_strong(ours, them.numpy()), name


def as_strong(ours: Any, theirs: Any) -> bool:
    """Whether no more images stand under ours than chance allows. Starts differ, so images near the edge of what an attack
    can do fall to one or the other: McNemar's exact test."""
    only_ours, only_theirs = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return only_ours == 0 or binomtest(only_ours, only_ours + only_theirs, alternative="greater").pvalue > 0.01


@pytest.mark.parametrize("loss", ["ce", "dlr"])
@pytest.mark.parametrize("ladder", [(0.05,), (0.02,), (0.001,), (0.03, 0.06)])
@pytest.mark.parametrize("name", ["trained", "untrained"])
def test_pgd_on_a_ladder_is_as_strong_as_afresh(
    networks: dict[str, nn.Module], digits: LabelledImages, name: str, ladder: tuple[float, ...], loss: str
) -> None:
    afresh, climbing = (outcomes(PGD(0.1, loss=loss, below=rungs), networks[name], digits) for rungs in ((), ladder))
    assert as_strong(climbing.correct, afresh.correct)
    if max(ladder) < 0.05:
        assert not (climbing.correct & ~afresh.correct & ~afresh.near_ties).any()  # the same attack at the top


@pytest.mark.parametrize("make", [PGD, APGD])
def test_losses_that_do_not_scale_reach_what_cross_entropy_cannot(
    networks: dict[str, nn.Module], digits: LabelledImages, make: type[PGD | APGD]
) -> None:
    ordinary, scaled = networks["trained"], networks["scaled"]
    by_loss = {loss: outcomes(make(0.1, loss=loss, steps=10), scaled, digits).accuracy for loss in LOSSES}
    assert by_loss["dlr"] < by_loss["ce"] - 20
    assert by_loss["margin"] < by_loss["ce"] - 20
    for loss in ("dlr", "margin"):
        assert by_loss[loss] == pytest.approx(outcomes(make(0.1, loss=loss, steps=10), ordinary, digits).accuracy, abs=1)


def test_dlr_is_its_definition_and_needs_three_classes() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.5, -1.0], [0.0, 2.0, 5.0, 1.0]])
    labels = torch.tensor([0, 1])
    # −(z_y − max of the others) / (largest − third largest)
    torch.testing.assert_close(LOSSES["dlr"](logits, labels), torch.tensor([-(3 - 1) / (3 - 0.5), -(2 - 5) / (5 - 1)]))
    with pytest.raises(RequestError, match="at least 3 classes"):
        LOSSES["dlr"](logits[:, :2], labels)


def test_the_last_iterate_is_one_of_them(network: nn.Module, digits: LabelledImages) -> None:
    any_iterate, last = (outcomes(PGD(0.05, last=last), network, digits) for last in (False, True))
    assert not (any_iterate.correct & ~last.correct & ~any_iterate.near_ties).any()
    by_foolbox = outcomes(PGD(0.05, "foolbox"), network, digits)
    assert int((by_foolbox.correct != last.correct).sum()) <= 1  # the same starts, the same steps


def test_apgd_is_at_least_as_strong_as_torchattacks(network: nn.Module, digits: LabelledImages) -> None:
    import torchattacks

    data = digits.first(300)
    for eps in (0.03, 0.05, 0.1):
        theirs = torchattacks.APGD(network, eps=eps, steps=20, n_restarts=1, loss="ce", seed=0)(data.images(), data.labels)
        with torch.no_grad():
            standing = int((network(theirs).argmax(1) == data.labels).sum())
        assert int(outcomes(APGD(eps, steps=20), network, data).correct.sum()) <= standing + 2


def test_apgd_checks_at_the_steps_of_its_paper() -> None:
    # p = 0, 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99, …: Croce and Hein 2020, §3.1
    assert APGDRule(100).checks[:9] == (0, 22, 41, 57, 70, 80, 87, 93, 99)


def test_l2_examples_of_a_linear_network_lie_along_its_gradient() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 2, bias=False)
    network = nn.Sequential(nn.Flatten(), linear).requires_grad_(False)
    pixels = torch.full((40, 1, 8, 8), 8, dtype=torch.uint8)
    logits = network(LabelledImages(pixels, torch.zeros(40, dtype=torch.int64), 2, levels=17).images())
    data = LabelledImages(pixels, logits.argmax(1), 2, levels=17)
    weight = linear.weight
    lead = float((logits[0, 0] - logits[0, 1]).abs())
    nearest = lead / float((weight[0] - weight[1]).norm())  # distance to the boundary
    assert 0 < nearest < 0.5
    for eps, stands in ((0.9 * nearest, True), (1.1 * nearest, False)):
        assert outcomes(PGD(eps, norm="l2", steps=30), network, data).correct.all() == stands


@pytest.mark.parametrize("make", [PGD, APGD])
def test_on_a_ladder_robust_accuracy_cannot_grow(
    networks: dict[str, nn.Module], digits: LabelledImages, make: type[PGD | APGD]
) -> None:
    budgets = (0.02, 0.05, 0.1, 0.2)
    for network in networks.values():
        clean = measure(network, digits, None, device=CPU, batch_size=500)
        top = make(budgets[-1], steps=5, below=budgets[:-1])
        made = measure_rungs(network, digits, top, device=CPU, batch_size=100, start=clean)
        assert [rung.eps for rung in made] == list(budgets)
        assert all((low.correct | ~high.correct).all() for low, high in pairwise(made.values()))
        alone = {eps: outcomes(make(eps, steps=5), network, digits) for eps in budgets}
        assert np.array_equal(made[top.rungs[0]].correct, alone[budgets[0]].correct)
        assert all(made[rung].accuracy <= alone[rung.eps].accuracy + 0.5 for rung in made)


def test_on_a_ladder_pgd_takes_few_steps_with_what_stands(network: nn.Module, digits: LabelledImages) -> None:
    class Counted(nn.Module):
        images = 0

        def forward(self, images: Tensor) -> Tensor:
            self.images += len(images) * images.requires_grad
            logits: Tensor = network(images)
            return logits

    data, budgets = digits.first(100), (0.001, 0.002)  # at which hardly an image falls
    counted = Counted()
    found = searched(PGD(budgets[1], below=budgets[:1]), counted, data)
    standing = int(np.isinf(found.fooled_at).sum())
    assert standing > 85
    assert 14 * standing <= counted.images <= 14 * len(data)  # ten steps, and four more


@pytest.mark.parametrize("low", [1e-300, 1e-41, 1e-9])
def test_a_ladder_may_begin_at_next_to_nothing(network: nn.Module, digits: LabelledImages, low: float) -> None:
    data = digits.first(60)
    assert np.array_equal(
        outcomes(PGD(0.02, below=(low,)), network, data).correct, outcomes(PGD(0.02), network, data).correct
    )


def test_a_rung_is_known_by_the_ladder_below_it() -> None:
    low, middle, high = make_attacks("pgd", ["1/255", "2/255", "8/255"])
    assert isinstance(high, PGD)
    assert high.rungs == [low, middle, high]
    assert low == PGD(1 / 255)
    assert high.key() != PGD(8 / 255).key()
    assert high.key()["climb"] == [4, 2.0, 2.0]  # whoever changes how a ladder climbs changes the key
    assert "climb" not in low.key()
    assert high.label == "pgd(eps=8/255, steps=10, ladder)"
    assert command_of(high) == "attack --pgd --eps 1/255,2/255,8/255"
    assert PGD.ladder("1/255", "2/255", "8/255") == [low, middle, high]
    assert make_attacks("pgd", ["8/255", "2/255"])[0] == PGD(8 / 255, below=(2 / 255,))
    assert make_attacks("pgd", [0.1, 0.2], ladder=False) == [PGD(0.1), PGD(0.2)]
    assert make_attacks("pgd", [0.1, 0.2], step_size=0.01) == [PGD(0.1, step_size=0.01), PGD(0.2, step_size=0.01)]
    assert make_attacks("fgsm", [0.1, 0.2]) == [FGSM(0.1), FGSM(0.2)]


def test_a_ladder_goes_on_from_what_the_store_has(checkpoint: Checkpoint, tmp_path: Any) -> None:
    options: dict[str, Any] = {"examples": 200, "store": tmp_path / "r.sqlite"}
    low, high = make_attacks("pgd", [0.05, 0.1])
    first = evaluate([checkpoint], [low], **options)
    both = evaluate([checkpoint], [low, high], **options)
    assert both["accuracy"][0] == first["accuracy"][0]
    afresh = evaluate([checkpoint], [high], **(options | {"store": None}))
    assert both["accuracy"][1] == afresh["accuracy"][0]


def test_what_is_within_rounding_is_no_example() -> None:
    class Undecided(nn.Module):
        """The other class leads by half of what counts."""

        def forward(self, images: Tensor) -> Tensor:
            first = 1 + 0 * images.flatten(1)[:, :1]
            return torch.cat([first, first + CLEAR / 2], 1)

    data = LabelledImages(torch.zeros(5, 1, 8, 8, dtype=torch.uint8), torch.zeros(5, dtype=torch.int64), 2, levels=17)
    found = searched(PGD(0.1), Undecided(), data)
    assert np.isinf(found.fooled_at).all()
    assert (found.close_at == 0.1).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"norm": "l1"}, "norm"),
        ({"loss": "hinge"}, "loss"),
        ({"below": (0.2,)}, "must increase"),
        ({"below": (0.05, 0.02)}, "must increase"),
        ({"below": (0.05,), "step_size": 0.01}, "quarter"),
        ({"engine": "foolbox", "norm": "l2"}, "cross-entropy"),
        ({"engine": "torchattacks", "loss": "dlr"}, "cross-entropy"),
        ({"engine": "foolbox", "last": False}, "last iterate"),
        ({"engine": "foolbox", "below": (0.05,)}, "a single ε"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        PGD(0.1, **wrong)


def test_apgd_is_our_own_alone() -> None:
    with pytest.raises(RequestError, match="native"):
        APGD(0.1, engine="foolbox")


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_fgsm_at_several_eps_from_one_gradient_is_fgsm_at_each(
    checkpoint: Checkpoint, digits: LabelledImages, scale: float
) -> None:
    network, attacks = Scaled(checkpoint.network(), scale), [FGSM(eps) for eps in (0.02, 0.1, 0.3)]
    clean = measure(network, digits, None, device=CPU, batch_size=360)
    together = measure_fgsm(network, digits, attacks, device=CPU, batch_size=100, clean=clean)
    for attack in attacks:
        alone = measure(network, digits, attack, device=CPU, batch_size=360, clean=clean)
        assert int((together[attack].correct != alone.correct).sum()) <= 1
        assert abs(int(together[attack].near_ties.sum()) - int(alone.near_ties.sum())) <= 1
    assert scale > 1 or together[attacks[0]].accuracy > together[attacks[2]].accuracy


def test_fgsm_at_several_eps_takes_one_gradient(checkpoint: Checkpoint) -> None:
    calls: list[bool] = []
    network = checkpoint.network()
    network.register_forward_pre_hook(lambda _, given: calls.append(given[0].requires_grad))
    evaluate([network], [FGSM(0.1), FGSM(0.2), FGSM(0.3)], dataset="digits", examples=50, store=None, threads=1)
    assert calls.count(True) == 1
