from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from scipy.stats import binomtest
from torch import Tensor, nn

from robustbench_zs.datasets import LabelledImages
from robustbench_zs.errors import AttackWarning, RequestError
from robustbench_zs.evaluation import Outcomes, measure
from robustbench_zs.perturbations import APGD, FAB, PGD, AutoAttack, GradientAttack, Square, TargetedAPGD
from robustbench_zs.perturbations import auto_attack as auto_attack_module
from robustbench_zs.perturbations.make import make_attacks
from robustbench_zs.perturbations.native import NORMS, TARGETED_LOSSES, Nearest, One
from robustbench_zs.perturbations.native.fab import to_boundary
from robustbench_zs.perturbations.native.square import HALVED_AT, SquareL2, SquareLinf
from robustbench_zs.reporting.commands import command_of
from robustbench_zs.training import Checkpoint

CPU = torch.device("cpu")
BALLS = {"linf": ("Linf", 0.06), "l2": ("L2", 0.5)}
each_ball = pytest.mark.parametrize("norm", BALLS)
ATTACKS = [
    partial(TargetedAPGD, steps=5, targets=3),
    partial(FAB, steps=6, targets=3),
    partial(Square, queries=60),
    partial(APGD, steps=8, target="next"),
]
each_attack = pytest.mark.parametrize("make", ATTACKS, ids=["apgd-t", "fab", "square", "targeted"])


@pytest.fixture(scope="module")
def network(checkpoint: Checkpoint) -> nn.Module:
    return checkpoint.network().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def right(network: nn.Module, digits: LabelledImages) -> LabelledImages:
    """Images that are right when clean."""
    chosen = np.flatnonzero(measure(network, digits.first(45), None, device=CPU, batch_size=45).correct)
    return LabelledImages(digits.pixels[chosen], digits.labels[chosen], digits.classes, digits.levels)


def standing(attack: Any, network: nn.Module, data: LabelledImages, batch_size: int = 64) -> Any:
    clean = Outcomes(np.ones(len(data), np.bool_), np.zeros(len(data), np.bool_), data.digest)
    return measure(network, data, attack, device=CPU, batch_size=batch_size, clean=clean).correct


def by_torchattacks(attack: Any, network: nn.Module, data: LabelledImages) -> int:
    with torch.random.fork_rng(devices=[]):  # the library reseeds the global generator
        found = attack(data.images(), data.labels)
    with torch.no_grad():
        return int((network(found).argmax(1) == data.labels).sum())


@each_ball
@pytest.mark.parametrize("kind", ["apgd-t", "fab", "square"])
def test_each_component_is_at_least_as_strong_as_torchattacks(
    network: nn.Module, right: LabelledImages, kind: str, norm: str
) -> None:
    import torchattacks

    library_norm, eps = BALLS[norm]
    common = {"norm": library_norm, "eps": eps}
    ours: dict[str, Callable[[int], Any]] = {
        "apgd-t": lambda seed: TargetedAPGD(eps, steps=6, norm=norm, seed=seed),
        "fab": lambda seed: FAB(eps, steps=8, norm=norm),
        "square": lambda seed: Square(eps, queries=100, norm=norm, seed=seed),
    }
    theirs: dict[str, Callable[[int], Any]] = {
        "apgd-t": lambda seed: torchattacks.APGDT(network, steps=6, seed=seed, **common),
        "fab": lambda seed: torchattacks.FAB(network, steps=8, seed=seed, multi_targeted=True, n_classes=10, **common),
        "square": lambda seed: torchattacks.Square(network, n_queries=100, seed=seed, **common),
    }
    seeds = (1,) if kind == "fab" else (1, 2)  # FAB draws nothing
    ours_standing = [int(standing(ours[kind](seed), network, right).sum()) for seed in seeds]
    theirs_standing = [by_torchattacks(theirs[kind](seed), network, right) for seed in seeds]
    assert 0 < min(ours_standing) < len(right)
    spread = max(1, max(theirs_standing) - min(theirs_standing))
    assert np.median(ours_standing) <= np.median(theirs_standing) + spread


def test_it_is_as_strong_as_torchattacks(network: nn.Module, right: LabelledImages, monkeypatch: pytest.MonkeyPatch) -> None:
    from robustbench_zs.perturbations.engines import torchattacks_engine

    data = right.first(16)
    for place in (auto_attack_module, torchattacks_engine):
        monkeypatch.setattr(place, "AUTO_QUERIES", 50)
        monkeypatch.setattr(place, "AUTO_STEPS", 10)
    ours = standing(AutoAttack(0.08), network, data)
    theirs = [standing(AutoAttack(0.08, "torchattacks", seed=seed), network, data) for seed in (1, 2)]
    assert 0 < ours.sum() <= max(t.sum() for t in theirs) < len(data)


@each_attack
@each_ball
def test_examples_lie_in_the_ball_and_fool_the_network(
    network: nn.Module, right: LabelledImages, make: Callable[..., GradientAttack], norm: str
) -> None:
    attack = make(BALLS[norm][1], norm=norm)
    found = attack.search(network, right, range(len(right)), device=CPU, batch_size=16, examples=True)
    assert found.examples is not None
    fooled = torch.from_numpy(np.isfinite(found.fooled_at))
    assert 0 < int(fooled.sum()) < len(right)
    examples, images, labels = found.examples[fooled], right.images()[fooled], right.labels[fooled]
    assert float(NORMS[norm].distance(examples, images).max()) <= attack.eps * (1 + 1e-6)
    assert 0 <= float(examples.min()) <= float(examples.max()) <= 1
    answers = network(examples).argmax(1)
    if getattr(attack, "target", None):
        assert answers.tolist() == ((labels + 1) % 10).tolist()
    else:
        assert (answers != labels).all()


@each_attack
@each_ball
def test_neither_the_batch_size_nor_the_company_matters(
    network: nn.Module, right: LabelledImages, make: Callable[..., GradientAttack], norm: str
) -> None:
    data, attack = right.first(16), make(BALLS[norm][1], norm=norm)
    found = [standing(attack, network, data, size) for size in (5, 64)]
    alone = attack.search(network, data, range(3, 9), device=CPU, batch_size=64)
    assert all(int((a != b).sum()) <= 1 for a, b in pairwise(found))
    assert int((np.isinf(alone.fooled_at) != found[0][3:9]).sum()) <= 1


def test_images_leave_when_they_fall(network: nn.Module, right: LabelledImages) -> None:
    class Counted(nn.Module):
        passes = 0

        def forward(self, images: Tensor) -> Tensor:
            self.passes += len(images)
            logits: Tensor = network(images)
            return logits

    counted = Counted()
    left = int(standing(Square(0.15, queries=100), counted, right).sum())
    assert 101 * left <= counted.passes < 101 * (left + (len(right) - left) / 2)


def test_few_images_are_driven_to_their_targets_side_by_side(network: nn.Module, right: LabelledImages) -> None:
    sizes: list[int] = []
    counted = nn.Sequential(network)
    counted.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    assert standing(TargetedAPGD(1e-4, steps=3), counted, right.first(3)).all()
    assert sizes == [3, 27, 27, 27, 27]  # the clean images for their targets, three steps, and the last iterates
    sizes.clear()
    assert standing(TargetedAPGD(1e-4, steps=3), counted, right.first(3), batch_size=4).all()
    assert max(sizes) <= 4


@each_ball
def test_what_is_found_side_by_side_is_found_in_turn(network: nn.Module, right: LabelledImages, norm: str) -> None:
    attack = TargetedAPGD(BALLS[norm][1], steps=5, norm=norm, below=(BALLS[norm][1] / 4,))
    aside, in_turn = (
        attack.search(network, right, range(len(right)), device=CPU, batch_size=64, examples=examples).fooled_at
        for examples in (False, True)
    )
    assert int((aside != in_turn).sum()) <= 1  # rounding
    assert 0 < np.isinf(aside).sum() < len(right)


@given(seed=st.integers(0, 2**31), norm=st.sampled_from(["linf", "l2"]), gap=st.floats(-3, 3))
@settings(max_examples=40)
def test_the_way_to_the_boundary_is_the_shortest_in_the_box(seed: int, norm: str, gap: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = (1.4 * torch.rand(1, 1, 2, 3, generator=generator) - 0.2).clamp(0, 1)
    weight = torch.randn(1, 1, 2, 3, generator=generator)
    change = to_boundary(x, weight, torch.tensor([gap]), NORMS[norm])
    assert bool(((x + change >= -1e-6) & (x + change <= 1 + 1e-6)).all())
    grown = float((weight * change).sum())
    w, low, high = (t.double().flatten().numpy() for t in (weight, -x, 1 - x))
    most = float(np.where(w * np.sign(gap) > 0, w * high, w * low).sum())
    if abs(most) < abs(gap):
        assert grown == pytest.approx(most, abs=1e-5)  # out of reach: as near as it gets
        return
    assert grown == pytest.approx(gap, abs=1e-5)
    length = float(NORMS[norm].distance(change, torch.zeros_like(change)))
    assert length <= shortest(w, gap, low, high, norm) * (1 + 1e-3) + 1e-5


def shortest(w: Any, gap: float, low: Any, high: Any, norm: str) -> float:
    """By scipy: a linear program for L∞, a quadratic one for L2."""
    n = len(w)
    if norm == "linf":
        above = np.block([[np.eye(n), -np.ones((n, 1))], [-np.eye(n), -np.ones((n, 1))]])
        bounds = [*zip(low, high, strict=True), (0, None)]
        solved: Any = linprog([*[0] * n, 1], above, np.zeros(2 * n), [[*w, 0]], [gap], bounds)
        return float(solved.x[-1])
    equal: Any = {"type": "eq", "fun": lambda d: w @ d - gap, "jac": lambda d: w}
    inside = [*zip(low, high, strict=True)]
    start = np.clip(gap * w / (w @ w), low, high)
    options: Any = {"jac": lambda d: 2 * d, "bounds": inside, "constraints": [equal]}

    def squared(change: Any) -> Any:
        return change @ change

    return float(np.linalg.norm(minimize(squared, start, **options).x))


def test_fab_reaches_the_boundary_of_a_linear_network() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 4)
    network = nn.Sequential(nn.Flatten(), linear).requires_grad_(False)
    pixels = torch.randint(5, 12, (30, 1, 8, 8), dtype=torch.uint8)
    logits = network(LabelledImages(pixels, torch.zeros(30, dtype=torch.int64), 4, levels=17).images())
    data = LabelledImages(pixels, logits.argmax(1), 4, levels=17)
    weight, top = linear.weight, logits.argmax(1)
    lead = logits.gather(1, top[:, None]) - logits
    lengths = {"linf": (weight[top][:, None] - weight).abs().sum(2), "l2": (weight[top][:, None] - weight).norm(dim=2)}
    for norm, length in lengths.items():
        nearest = (lead / length).masked_fill(lead == 0, torch.inf).amin(1)  # no pixel reaches 0 or 1 so near
        eps = float(nearest.median())
        fooled = ~torch.from_numpy(standing(FAB(eps, steps=20, norm=norm), network, data))
        clear = (nearest / eps - 1).abs() > 0.01
        assert (fooled == (nearest < eps))[clear].all()


def test_squares_have_the_sides_and_values_of_the_paper() -> None:
    # p = 0.8 halves after 10, 50, 200, … of 10,000 queries: Andriushchenko et al. 2020, §5
    rule = SquareLinf(10_000, seed=1)
    sides = [rule._side(query, 32, 32) for query in (0, *(at + 1 for at in HALVED_AT))]
    assert sides == [29, 20, 14, 10, 7, 5, 4, 3, 2, 1]
    assert [SquareL2(10_000, seed=1)._side(query, 32, 32) for query in (0, 11, 9000)] == [29, 21, 3]
    rows: dict[str, Tensor] = {
        "x0": torch.full((6, 3, 32, 32), 0.5),
        "eps": torch.full((6,), 0.1),
        "number": torch.arange(6),
        "restart": torch.zeros(6, dtype=torch.int64),
        "step": torch.full((6,), 320),
    }
    rows["x"] = rows["x0"]
    rule.begin(rows)
    start = rows["x"]
    assert torch.equal(start, start[:, :, :1].expand(-1, -1, 32, -1))  # stripes
    rule.move(rows, torch.zeros(6), torch.empty(6, 0), NORMS["linf"])
    changed = (rows["x"] != start).any(1)
    assert (changed.sum(1).amax(1) <= 10).all()
    assert (changed.sum(2).amax(1) <= 10).all()
    torch.testing.assert_close((rows["x"] - 0.5).abs(), torch.full_like(start, 0.1))
    assert len({tuple(image.nonzero()[0].tolist()) for image in changed if image.any()}) > 2  # squares of their own


def test_targets_are_what_they_say() -> None:
    logits = torch.tensor([[5.0, 1.0, 4.0, 0.0], [0.0, 9.0, -1.0, 2.0]])
    labels, numbers = torch.tensor([0, 3]), torch.arange(2)
    assert Nearest(2)(logits, labels, numbers).tolist() == [[2, 1], [1, 0]]
    assert Nearest(9)(logits, labels, numbers).shape == (2, 3)
    assert One("next")(logits, labels, numbers).tolist() == [[1], [0]]
    assert One("least-likely")(logits, labels, numbers).tolist() == [[3], [2]]
    assert One("2")(logits, labels, numbers).tolist() == [[2], [2]]
    many = torch.arange(4000)
    drawn = One("random", seed=3)(torch.zeros(4000, 4), many % 4, many)[:, 0]
    assert (drawn != many % 4).all()
    assert torch.bincount(drawn).min() > 900
    for wrong in ("nearest", "-1", "4²", ""):
        with pytest.raises(RequestError, match="next, random, least-likely"):
            PGD(0.1, target=wrong)
    with pytest.raises(RequestError, match="from 0 to 3"):
        One("4")(logits, labels, numbers)


def test_the_targeted_dlr_is_its_definition() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.5, -1.0]])
    found = TARGETED_LOSSES["dlr"](logits, torch.tensor([0]), torch.tensor([2]))
    torch.testing.assert_close(found, torch.tensor([-(3 - 0.5) / (3 - (0.5 - 1) / 2)]))  # Croce and Hein 2020, eq. 7
    with pytest.raises(RequestError, match="at least 4 classes"):
        TARGETED_LOSSES["dlr"](logits[:, :3], torch.tensor([0]), torch.tensor([2]))


def test_a_targeted_attack_takes_images_to_their_target_as_foolbox_does(network: nn.Module, right: LabelledImages) -> None:
    import foolbox

    labels = (right.labels + 1) % 10
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
        attack = foolbox.attacks.LinfPGD(steps=10, abs_stepsize=0.05)
        _, _, reached = attack(model, right.images(), foolbox.criteria.TargetedMisclassification(labels), epsilons=0.2)
    ours = {loss: standing(PGD(0.2, target="next", loss=loss), network, right) for loss in ("ce", "dlr", "margin")}
    there = reached.numpy()
    only_ours, only_theirs = int((~ours["ce"] & ~there).sum()), int((ours["ce"] & there).sum())
    assert (
        only_theirs == 0 or binomtest(only_theirs, only_ours + only_theirs, alternative="greater").pvalue > 0.01
    )  # McNemar
    assert all(0.5 * there.sum() < (~stands).sum() < len(right) for stands in ours.values())
    assert (standing(PGD(0.2), network, right) <= ours["ce"]).mean() > 0.95  # away from the label is easier


def test_an_image_of_the_target_class_is_not_attacked(network: nn.Module, right: LabelledImages) -> None:
    stands = standing(PGD(0.5, target="3"), network, right)
    assert stands[(right.labels == 3).numpy()].all()
    assert not stands[(right.labels != 3).numpy()].all()


def test_a_target_stands_in_key_label_and_command() -> None:
    attack = PGD(0.1, target="next")
    assert attack.label == "pgd(eps=0.1, steps=10, target=next)"
    assert command_of(attack) == "attack --pgd --eps 0.1 --target next"
    assert attack.key() != PGD(0.1).key()
    assert PGD(0.1, target=7).target == "7"
    assert make_attacks("apgd", [0.1], target=7) == [APGD(0.1, target="7")]


def test_results_stored_before_are_still_meant() -> None:
    """Keys as they were when torchattacks alone had AutoAttack and Square, and no attack a target."""
    pgd = {"kind": "pgd", "eps": 0.1, "engine": "native", "steps": 10, "restarts": 1, "seed": 1, "step_size": 0.025}
    assert PGD(0.1).key() == pgd
    apgd = {"kind": "apgd", "eps": 0.1, "engine": "native", "steps": 100, "restarts": 1, "seed": 1, "norm": "linf"}
    assert APGD(0.1).key() == {**apgd, "loss": "ce", "ladder": ()}
    square = {"kind": "square", "eps": 0.1, "engine": "torchattacks", "queries": 9, "seed": 1}
    assert Square(0.1, "torchattacks", 9).key() == square
    auto = {"kind": "autoattack", "eps": 0.1, "engine": "torchattacks", "norm": "linf", "seed": 1, "pgd": pgd}
    assert AutoAttack(0.1, "torchattacks").key() == auto
    assert AutoAttack(0.1).key() == {**auto, "engine": "native"}


def test_a_randomized_network_is_named(digits: LabelledImages, monkeypatch: pytest.MonkeyPatch) -> None:
    class Noisy(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1)[:, :10] + 0.1 * torch.rand(len(images), 10)

    monkeypatch.setattr(auto_attack_module, "AUTO_QUERIES", 2)
    monkeypatch.setattr(auto_attack_module, "AUTO_STEPS", 2)
    with pytest.warns(AttackWarning, match="randomized.*no expectation over transformation"):
        AutoAttack(0.01).search(Noisy(), digits, range(5), device=CPU, batch_size=5)


def test_gradients_that_only_square_does_without_are_named(
    network: nn.Module, right: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Rounded(nn.Module):
        """Its gradient is 0 everywhere."""

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = network((images * 40).round() / 40)
            return logits + 0 * images.sum()

    monkeypatch.setattr(auto_attack_module, "AUTO_QUERIES", 60)
    monkeypatch.setattr(auto_attack_module, "AUTO_STEPS", 3)
    attack, right = AutoAttack(0.1), right.first(20)
    with pytest.warns(AttackWarning, match=r"Square, which uses no gradients, fools \d+ of 20 images"):
        attack.search(Rounded(), right, range(20), device=CPU, batch_size=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error", AttackWarning)
        attack.search(network, right, range(0), device=CPU, batch_size=20)


@pytest.mark.parametrize(
    "made",
    [
        lambda: TargetedAPGD(0.1, loss="ce"),
        lambda: TargetedAPGD(0.1, target="next"),
        lambda: TargetedAPGD(0.1, targets=0),
        lambda: FAB(0.1, restarts=2),
        lambda: FAB(0.1, "torchattacks"),
        lambda: PGD(0.1, "foolbox", target="next"),
        lambda: PGD(0.1, target="previous"),
        lambda: make_attacks("fab", [0.1], loss="dlr"),
        lambda: make_attacks("square", [0.1], target="next"),
    ],
)
def test_settings_that_they_do_not_have_are_refused(made: Callable[[], object]) -> None:
    with pytest.raises(RequestError):
        made()
