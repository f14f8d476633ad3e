"""Gains over the blocks of a network, against filters, matrix powers and a network that is linear."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from robustbench_zs.errors import RequestError
from robustbench_zs.schemes import MultistepScheme, one_step
from robustbench_zs.schemes.gains import block_weights, gains_over, last_share

coefficients = st.lists(st.floats(-2, 2), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(coefficients, st.integers(1, 27))
def test_gains_are_norms_and_sums_of_a_filter(alphas: list[float], blocks: int) -> None:
    response = lfilter([1.0], [1.0, *(-a for a in alphas)], np.eye(1, blocks)[0])
    found = gains_over(MultistepScheme(alphas), blocks)
    assert found.noise_gain == pytest.approx(np.linalg.norm(response))
    assert found.response_norm == pytest.approx(np.linalg.norm(response, 1))
    summed = lfilter([1.0], [1.0, *(-a for a in alphas)], np.ones(blocks))[-1]  # the response to a constant input
    assert found.dc_gain == pytest.approx(abs(summed), rel=1e-9, abs=1e-12 * np.abs(response).sum())


@settings(max_examples=60, deadline=None)
@given(coefficients, st.integers(1, 20))
def test_starters_grow_as_powers_of_the_companion_matrix(alphas: list[float], blocks: int) -> None:
    companion = np.eye(len(alphas), k=-1)
    companion[0] = alphas
    states = [np.linalg.matrix_power(companion, n) @ np.ones(len(alphas)) for n in range(1, blocks + 1)]
    found = gains_over(MultistepScheme(alphas), blocks).starter_amplification
    assert found == pytest.approx(max(abs(state[0]) for state in states))


@settings(max_examples=60, deadline=None)
@given(coefficients, st.floats(-3, 3), st.integers(4, 20))
def test_weights_are_those_of_a_network_whose_residuals_are_unit_vectors(
    alphas: list[float], beta: float, blocks: int
) -> None:
    residuals = np.eye(blocks + 1)
    states = [residuals[0]]
    for residual in residuals[1:]:
        if len(states) < len(alphas):
            states.append(states[-1] + residual)
        else:
            past = states[: -len(alphas) - 1 : -1]
            states.append(sum(a * y for a, y in zip(alphas, past, strict=True)) + beta * residual)
    stem, weights = block_weights(MultistepScheme(alphas, beta), blocks)
    assert (stem, *weights) == pytest.approx(tuple(states[-1]), rel=1e-9, abs=1e-9)
    share = last_share(MultistepScheme(alphas, beta), blocks)
    total = np.abs(states[-1]).sum()
    assert share == (pytest.approx(abs(states[-1][-1]) / total) if total else None)


def test_euler_adds_up_and_weighs_all_blocks_alike() -> None:
    euler = one_step("1")
    found = gains_over(euler, 9)
    assert (found.noise_gain, found.response_norm, found.dc_gain, found.starter_amplification) == (3, 9, 9, 1)
    assert last_share(euler, 9) == 1 / 10


def test_what_exceeds_floats_is_none() -> None:
    found = gains_over(one_step("1e9"), 60)
    assert (found.noise_gain, found.response_norm, found.dc_gain, found.starter_amplification) == (None,) * 4
    assert last_share(one_step("1e9"), 60) is None


def test_a_network_has_as_many_blocks_as_its_scheme_has_states() -> None:
    for scheme, blocks in ((MultistepScheme(["1", "1"], 1), 1), (MultistepScheme(["1"]), 3)):
        with pytest.raises(RequestError):
            block_weights(scheme, blocks)
    with pytest.raises(RequestError):
        gains_over(one_step("1"), 0)
