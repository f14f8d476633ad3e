from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zs.errors import RequestError
from robustbench_zs.training import RECIPES, Recipe, recipe_for, recipe_from_name


@given(quarters=st.integers(1, 1000))
def test_learning_rate_falls_tenfold_at_half_and_at_three_quarters(quarters: int) -> None:
    recipe = Recipe(epochs=4 * quarters)
    rates = [recipe.learning_rates(epoch, 1)[0] for epoch in range(recipe.epochs)]
    assert rates == pytest.approx([0.1] * 2 * quarters + [0.01] * quarters + [0.001] * quarters)


@given(epochs=st.integers(1, 1000))
def test_learning_rate_never_rises_and_changes_at_most_twice(epochs: int) -> None:
    rates = [Recipe(epochs).learning_rates(epoch, 1)[0] for epoch in range(epochs)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 0.1
    assert len(set(rates)) <= 3


@pytest.mark.parametrize(("name", "epochs"), [("cifar10", 160), ("cifar100", 300)])
def test_cifar_recipes_are_the_papers(name: str, epochs: int) -> None:
    # Section 5.6 of the paper
    assert RECIPES[name] == Recipe(
        epochs, batch_size=128, learning_rate=0.1, momentum=0.9, weight_decay=1e-4, augmentation="crop-flip"
    )
    assert RECIPES[name].learning_rates(epochs // 2 - 1, 1) == pytest.approx([0.1])
    assert RECIPES[name].learning_rates(epochs // 2, 1) == pytest.approx([0.01])
    assert RECIPES[name].learning_rates(epochs * 3 // 4, 1) == pytest.approx([0.001])


def test_the_published_code_differs_in_two_ways() -> None:
    for name in ("cifar10", "cifar100"):
        assert RECIPES[f"{name}-code"] == RECIPES[name].with_changes(weight_decay=5e-4, weights="best")
    assert RECIPES["cifar-gap"] == RECIPES["cifar100"].with_changes(epochs=500)


def test_an_open_precision_is_that_of_the_device() -> None:
    for device, precision in (("cpu", "float32"), ("cuda", "bfloat16"), ("cuda:1", "bfloat16"), ("mps", "float32")):
        assert RECIPES["cifar10"].for_device(device).precision == precision
    stated = Recipe(1, precision="bfloat16")
    assert stated.for_device("cpu") == stated
    with pytest.raises(RequestError, match="auto, float32, bfloat16"):
        Recipe(1, precision="float16")  # type: ignore[arg-type]


def test_cosine_with_warm_up_is_that_of_torch() -> None:
    recipe = Recipe(150, learning_rate=0.2, schedule="cosine", warmup_epochs=5)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 145)
    wanted = []
    for _ in range(145):
        wanted.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    rates = [recipe.learning_rates(epoch, 1)[0] for epoch in range(150)]
    assert rates == pytest.approx([0.04, 0.08, 0.12, 0.16, 0.2, *wanted])


def test_one_cycle_is_torchs_line_and_cosine_taken_in_the_middle_of_each_step() -> None:
    recipe, steps = Recipe(5, learning_rate=0.2, schedule="one-cycle", warmup_epochs=2), 7
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    halves = 2 * steps  # torch's schedulers go by whole numbers: two of them a step
    up = torch.optim.lr_scheduler.LinearLR(optimizer, 1e-9, 1.0, 2 * halves)
    down = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3 * halves)
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [up, down], [2 * halves])
    wanted = []
    for _ in range(5 * halves):
        wanted.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    rates = [rate for epoch in range(5) for rate in recipe.learning_rates(epoch, steps)]
    assert rates == pytest.approx(wanted[1::2], rel=1e-6)


def test_a_warm_up_of_all_epochs() -> None:
    assert [Recipe(2, schedule="cosine", warmup_epochs=2).learning_rates(e, 1)[0] for e in (0, 1)] == [0.05, 0.1]


def test_digits_are_not_augmented() -> None:
    assert recipe_for("digits").augmentation == "none"


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": -1},
        {"epochs": 1.5},
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"learning_rate": -0.1},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"momentum": -0.1},
        {"momentum": 1.1},
        {"weight_decay": -1e-4},
        {"weight_decay": math.nan},
        {"augmentation": "mixup"},
        {"schedule": "linear"},
        {"weights": "average"},
        {"warmup_epochs": -1},
        {"warmup_epochs": 0.5},
    ],
    ids=str,
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=next(iter(wrong))):
        Recipe(**{"epochs": 1, **wrong})


def test_a_change_of_none_changes_nothing() -> None:
    recipe = Recipe(5, momentum=0.5)
    assert recipe.with_changes(epochs=None, momentum=None) == recipe
    assert recipe.with_changes(epochs=7) == Recipe(7, momentum=0.5)


def test_an_unknown_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(RequestError, match="cifar10"):
        recipe_from_name("imagenet")
