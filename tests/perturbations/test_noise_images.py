from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import Tensor, nn

from robustbench_zs.datasets import LabelledImages
from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations import ConstantNoise, GaussianNoise, Perturbation, UniformNoise, parse_number

NOISES = [GaussianNoise(0.2), UniformNoise(-0.08, 0), UniformNoise(-0.5, 0.5), ConstantNoise(0.3), ConstantNoise(-0.3)]
DRAWN = NOISES[:3]
NONE = nn.Identity()

each_noise = pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.label)


def noisy(noise: Perturbation, images: Tensor, indices: Tensor | None = None) -> Tensor:
    indices = torch.arange(len(images)) if indices is None else indices
    return noise(NONE, images, torch.zeros(len(images), dtype=torch.int64), indices)


def grey(n: int) -> Tensor:
    return torch.full((n, 1, 8, 8), 0.5)


def in_batches(noise: Perturbation, images: Tensor, size: int) -> Tensor:
    indices = torch.arange(len(images))
    return torch.cat([noisy(noise, images[part], part) for part in indices.split(size)])


@each_noise
@pytest.mark.parametrize("threads", [1, 2])
def test_images_are_bit_identical_for_any_batch_size_and_threads(
    digits: LabelledImages, noise: Perturbation, threads: int
) -> None:
    expected = in_batches(noise, digits.images(), 500)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert torch.equal(in_batches(noise, digits.images(), 7), expected)
        assert torch.equal(in_batches(noise, digits.images(), 500), expected)
    finally:
        torch.set_num_threads(before)


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(12)), cuts=st.lists(st.integers(0, 12), max_size=4), noise=st.sampled_from(NOISES))
def test_noise_belongs_to_the_image_in_any_order_and_company(order: list[int], cuts: list[int], noise: Perturbation) -> None:
    images = torch.linspace(0, 1, 12 * 64).view(12, 1, 8, 8)
    expected = noisy(noise, images)
    for start, end in pairwise(sorted({0, 12, *cuts})):
        part = torch.tensor(order[start:end])
        assert torch.equal(noisy(noise, images[part], part), expected[part])


@each_noise
def test_noisy_images_stay_float32_in_the_unit_interval(digits: LabelledImages, noise: Perturbation) -> None:
    images = digits.images()
    before = images.clone()
    result = noisy(noise, images)
    assert result.dtype == torch.float32
    assert result.shape == images.shape
    assert 0 <= float(result.min()) <= float(result.max()) <= 1
    assert torch.equal(images, before)


def test_uniform_noise_is_uniform() -> None:
    difference = (noisy(UniformNoise(-0.08, 0.02), grey(500)) - 0.5).flatten().numpy()
    assert kstest(difference, "uniform", args=(-0.08, 0.1)).pvalue > 0.001


def test_gaussian_noise_is_normal_with_standard_deviation_delta() -> None:
    difference = (noisy(GaussianNoise(0.05), grey(500)) - 0.5).flatten().numpy()
    assert kstest(difference / 0.05, "norm").pvalue > 0.001


@pytest.mark.parametrize("noise", DRAWN, ids=lambda noise: noise.label)
def test_pixels_and_images_are_independent(noise: Perturbation) -> None:
    values = noisy(noise, torch.full((400, 1, 8, 8), 0.5)).flatten(1).numpy()
    between_pixels = np.corrcoef(values.T)[np.triu_indices(64, 1)]
    between_images = np.corrcoef(values)[np.triu_indices(400, 1)]
    assert kstest(between_pixels * math.sqrt(400), "norm").pvalue > 0.001
    assert np.abs(between_images).max() < 0.75  # 1 where two images share their draws; 5.7 standard deviations of 64 pixels


def test_constant_noise_is_added_and_clipped(digits: LabelledImages) -> None:
    expected = np.clip(digits.images().numpy() + np.float32(0.3), 0, 1)
    assert np.array_equal(noisy(ConstantNoise(0.3), digits.images()).numpy(), expected)


@pytest.mark.parametrize("make", [lambda seed: GaussianNoise(0.1, seed), lambda seed: UniformNoise(-0.1, 0.1, seed)])
def test_every_seed_has_its_own_draws(make: Callable[[int], Perturbation]) -> None:
    results = [noisy(make(seed), grey(4)) for seed in (0, 1, 2, 2**40 + 1, 2**63 - 1)]
    assert all(not torch.isclose(a, b).flatten(1).all(1).any() for a, b in pairwise(results))
    assert torch.equal(noisy(make(1), grey(4)), results[1])


def test_levels_share_their_draws() -> None:
    weak, strong = (noisy(GaussianNoise(delta), grey(20)) - 0.5 for delta in (0.02, 0.06))
    torch.testing.assert_close(3 * weak, strong, atol=1e-6, rtol=0)
    low, high = (noisy(UniformNoise(-a, a), grey(20)) - 0.5 for a in (0.02, 0.06))
    torch.testing.assert_close(3 * low, high, atol=1e-6, rtol=0)


def test_noise_of_level_zero_changes_nothing(digits: LabelledImages) -> None:
    for noise in (GaussianNoise(0), UniformNoise(0, 0), ConstantNoise(0)):
        assert torch.equal(noisy(noise, digits.images()), digits.images())


def test_the_seed_is_1_by_default_and_global_generators_play_no_part() -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first = noisy(GaussianNoise(0.1, seed=1), grey(3))
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(6)
    assert torch.equal(noisy(GaussianNoise(0.1), grey(3)), first)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianNoise(-0.1), "delta"),
        (lambda: GaussianNoise(math.nan), "delta"),
        (lambda: GaussianNoise(math.inf), "delta"),
        (lambda: GaussianNoise("much"), "delta"),  # type: ignore[arg-type]
        (lambda: GaussianNoise(True), "delta"),
        (lambda: UniformNoise(0.1, -0.1), "must not exceed high"),
        (lambda: UniformNoise(-1.5, 0), "low"),
        (lambda: UniformNoise(0, 1.5), "high"),
        (lambda: UniformNoise(math.nan, 0), "low"),
        (lambda: ConstantNoise(math.nan), "mu"),
        (lambda: ConstantNoise(2), "mu"),
        (lambda: GaussianNoise(0.1, seed=-1), "seed"),
        (lambda: GaussianNoise(0.1, seed=2**63), "seed"),
        (lambda: UniformNoise(0, 0.1, seed=1.5), "seed"),  # type: ignore[arg-type]
    ],
)
def test_values_out_of_range_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        make()


def test_text_means_the_number() -> None:
    assert GaussianNoise("8/255") == GaussianNoise(8 / 255)  # type: ignore[arg-type]
    assert UniformNoise("-0.08", "0") == UniformNoise(-0.08, 0)  # type: ignore[arg-type]
    assert GaussianNoise("8/255").label == "gaussian(delta=8/255)"  # type: ignore[arg-type]


@given(value=st.floats(1e-6, 1))
def test_labels_of_different_levels_differ_and_can_be_read_back(value: float) -> None:
    text = GaussianNoise(value).label.removeprefix("gaussian(delta=").removesuffix(")")
    assert parse_number(text, "delta", 0, 1) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("noise", DRAWN, ids=lambda noise: noise.label)
def test_the_key_holds_every_parameter(noise: Perturbation) -> None:
    key = noise.key()
    kind = key.pop("kind")
    assert kind == noise.kind
    assert type(noise)(**key) == noise
