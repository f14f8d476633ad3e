from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from robustbench_zs.cli.roots import roots
from robustbench_zs.errors import RequestError
from robustbench_zs.networks.spec import NetworkSpec, default_block, stages_of
from robustbench_zs.schemes import (
    MultistepScheme,
    amplification_over,
    companion_row_norms,
    impulse_response,
    one_step,
    scheme_from_name,
)

coefficients = st.lists(st.floats(-2, 2), min_size=1, max_size=5)


def companion(alphas: list[float]) -> np.ndarray:
    matrix = np.eye(len(alphas), k=-1)
    matrix[0] = alphas
    return matrix


@settings(max_examples=60, deadline=None)
@given(coefficients, st.integers(1, 20))
def test_impulse_response_and_row_norms_are_those_of_matrix_powers(alphas: list[float], steps: int) -> None:
    scheme, matrix = MultistepScheme(alphas), companion(alphas)
    powers = [np.linalg.matrix_power(matrix, n) for n in range(steps + 1)]
    assert impulse_response(scheme, steps) == pytest.approx([p[0, 0] for p in powers[:-1]], rel=1e-9, abs=1e-9)
    expected = [np.abs(p[0]).sum() for p in powers[1:]]
    assert companion_row_norms(scheme, steps) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(coefficients, st.integers(1, 30))
def test_effective_depth_is_a_share_of_the_blocks(alphas: list[float], blocks: int) -> None:
    found = amplification_over(MultistepScheme(alphas), blocks)
    assert found.effective_depth is not None
    assert 1 / blocks - 1e-12 <= found.effective_depth <= 1 + 1e-12
    assert found.impulse_supremum is not None
    assert found.impulse_supremum >= 1


@pytest.mark.parametrize("alpha", ["0.5", "0.7", "1.5", "2"])
def test_one_step_scheme_by_its_geometric_series(alpha: str) -> None:
    a, blocks = float(alpha), 15
    found = amplification_over(one_step(alpha), blocks)
    total, squares = (1 - a**blocks) / (1 - a), (1 - a ** (2 * blocks)) / (1 - a**2)
    assert found.effective_depth == pytest.approx(total**2 / (blocks * squares))
    assert found.impulse_supremum == pytest.approx(max(1, a ** (blocks - 1)))
    assert found.amplification == pytest.approx(max(a, a**blocks))


def test_in_a_network_of_identities_every_block_counts() -> None:
    found = amplification_over(scheme_from_name("euler"), 27)
    assert (found.impulse_supremum, found.effective_depth, found.amplification) == (1, 1, 1)


def test_a_zero_stable_scheme_can_amplify_tenfold_before_it_settles() -> None:
    scheme = MultistepScheme(["2.25", "-2", "0.75"])
    norms = companion_row_norms(scheme, 200)
    assert scheme.zero_stable
    assert f"{max(norms):.1f}" == "9.9"
    # The part at the root 1 stays: its left eigenvector over p'(1) = 1/2 is (1, 1 − 2.25, 0.75) · 2, whose 1-norm is 6.
    assert norms[-1] == pytest.approx(6)


def test_beyond_floats_is_none() -> None:
    found = amplification_over(MultistepScheme([10**12, -(10**12)]), 108)
    assert (found.impulse_supremum, found.effective_depth, found.amplification) == (None, None, None)


def test_at_depth_326_growth_is_that_of_the_largest_root() -> None:
    deeper, deep = (impulse_response(scheme_from_name("table10-3"), n)[-1] for n in (108, 107))
    assert deeper / deep == pytest.approx(-2 - 5**0.5)  # the roots of ρ² + 4ρ − 1 are −2 ± √5
    assert amplification_over(scheme_from_name("table10-3"), 108).effective_depth is not None


def test_a_network_has_a_block() -> None:
    with pytest.raises(RequestError, match="at least one block"):
        amplification_over(scheme_from_name("euler"), 0)


@pytest.mark.parametrize(("depth", "blocks"), [(20, 9), (56, 27), (110, 54), (164, 54), (326, 108)])
def test_depth_is_turned_into_blocks_as_networks_do(depth: int, blocks: int) -> None:
    block = default_block(depth)
    assert sum(stages_of(depth, block)) == NetworkSpec(scheme_from_name("euler"), depth, block).blocks == blocks


def test_roots_shows_the_amplification_at_a_depth() -> None:
    found = CliRunner().invoke(roots, ["2.25", "-2", "0.75", "--depth", "56", "--format", "json"])
    (row,) = json.loads(found.output)
    assert row["blocks"] == 27
    assert f"{row['amplification']:.1f}" == "9.9"
    assert {"impulse_supremum", "effective_depth"} <= row.keys()
    table = CliRunner().invoke(roots, ["2.25", "-2", "0.75", "--depth", "56"]).output
    assert "Amplification" in table
    assert "9.88" in table
    without = CliRunner().invoke(roots, ["2.25", "-2", "0.75", "--format", "json"])
    assert "amplification" not in json.loads(without.output)[0]


def test_a_depth_that_no_network_has_is_refused() -> None:
    refused = CliRunner().invoke(roots, ["2", "-1", "--depth", "57"])
    assert isinstance(refused.exception, RequestError)
    assert "6n+2" in str(refused.exception)
