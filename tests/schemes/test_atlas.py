"""The atlas: drawn, chosen and named as it says."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pandas as pd
import pytest
from choose_schemes import digest_of
from exchange import exchange, mean_correlation, nested, ranks_of
from hypothesis import given, settings
from hypothesis import strategies as st
from inverse_design import draw_pool, draw_scheme, expand

import robustbench_zs
from robustbench_zs.analysis.predictors import PREDICTORS, scheme_predictors
from robustbench_zs.errors import RequestError
from robustbench_zs.networks import network_from_name
from robustbench_zs.schemes import MultistepScheme, scheme_from_name
from robustbench_zs.schemes.atlas import HALVES, atlas_file, atlas_names, quarter_of
from robustbench_zs.schemes.table import roots_table


@pytest.fixture(scope="module")
def pool() -> list[MultistepScheme]:
    return draw_pool(atlas_file()["seed"], atlas_file()["pool"])


@pytest.fixture(scope="module")
def halves() -> dict[str, list[MultistepScheme]]:
    return {half: [scheme_from_name(name) for name in atlas_names(half)] for half in HALVES}


def test_all_schemes_come_from_the_pool_that_the_seed_draws(
    pool: list[MultistepScheme], halves: dict[str, list[MultistepScheme]]
) -> None:
    drawn = set(pool)
    assert len(drawn) == len(pool)
    assert set(halves["discovery"]) | set(halves["confirmation"]) <= drawn
    assert not set(halves["discovery"]) & set(halves["confirmation"])
    assert [len(half) for half in halves.values()] == [400, 400]
    assert atlas_file()["digest"] == digest_of(atlas_file())


def test_the_pool_has_the_shares_that_were_asked_for(pool: list[MultistepScheme]) -> None:
    some = pool[:1000]
    moduli = np.array([scheme.largest_modulus for scheme in some]).round(9)
    shares = [np.mean(moduli < 0.98), np.mean(moduli == 1), np.mean((moduli > 1) & (moduli <= 1.4)), np.mean(moduli > 1.4)]
    assert shares == pytest.approx([0.30, 0.25, 0.25, 0.20], abs=0.04)
    assert moduli.max() <= 2.5
    at_one = [scheme for scheme in some if sum(scheme.alphas) == 1]
    assert len(at_one) / len(some) == pytest.approx(0.40, abs=0.06)
    assert sum(scheme.consistent or False for scheme in at_one) / len(at_one) == pytest.approx(0.60, abs=0.12)
    pairs = [any(abs(root.imag) > 1e-6 for root in scheme.roots) for scheme in some]
    assert np.mean(pairs) == pytest.approx(0.45, abs=0.05)
    assert {scheme.order for scheme in some} == {1, 2, 3, 4}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_a_drawn_scheme_is_exact_and_short(seed: int) -> None:
    scheme = draw_scheme(Random(seed))
    assert scheme.exact
    assert scheme.alphas[-1] != 0
    assert all(10**8 % Fraction(c).denominator == 0 for c in scheme.alphas)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=3), max_size=4))
def test_factors_are_multiplied(rest: list[list[int]]) -> None:
    factors = [(Fraction(1), *map(Fraction, coefficients)) for coefficients in rest]
    expected = np.poly1d([1])
    for factor in factors:
        expected = expected * np.poly1d([float(c) for c in factor])
    assert [float(c) for c in expand(factors)] == pytest.approx(list(np.atleast_1d(expected.coeffs)))


def test_candidates_come_apart_in_each_half_and_in_its_first_schemes(
    pool: list[MultistepScheme], halves: dict[str, list[MultistepScheme]]
) -> None:
    def mean_rho(schemes: list[MultistepScheme]) -> float:
        names = [name for name in PREDICTORS if not name.startswith("stage_")]
        values = pd.DataFrame([scheme_predictors(scheme, 27, 9) for scheme in schemes], dtype=float)
        rho = values[names].corr("spearman").abs().to_numpy()
        return float(rho[np.triu_indices(len(rho), 1)].mean())

    before = mean_rho(pool[:400])
    found = [mean_rho(half[:size]) for half in halves.values() for size in (400, 100, 24)]
    assert max(found) < before - 0.1
    assert abs(found[0] - found[3]) < 0.03


def test_exchange_lowers_correlation_and_keeps_shares() -> None:
    draw = np.random.default_rng(0)
    common = draw.normal(size=(600, 1))
    ranks = ranks_of(common + draw.normal(size=(600, 4)))
    strata = [index % 3 == 0 for index in range(600)]
    chosen = exchange([ranks], strata, range(600), 60, Random(0))
    assert chosen == exchange([ranks], strata, range(600), 60, Random(0))
    assert len(set(chosen)) == 60
    assert sum(strata[index] for index in chosen) == 20
    r = np.abs(np.corrcoef(ranks[chosen].T))[np.triu_indices(4, 1)]
    assert mean_correlation([ranks], chosen) == pytest.approx(r.mean())
    assert mean_correlation([ranks], chosen) < mean_correlation([ranks], range(600)) / 3
    order = nested([ranks], strata, chosen, (30, 12), Random(0))
    assert sorted(order) == sorted(chosen)
    assert sum(strata[index] for index in order[:12]) == 4
    assert order[:12] == exchange([ranks], strata, exchange([ranks], strata, chosen, 30, again := Random(0)), 12, again)


def test_names_resolve_and_stay() -> None:
    scheme = scheme_from_name("atlas-017")
    alphas, beta = atlas_file()["discovery"][16]
    assert scheme == MultistepScheme(alphas.split(), beta)
    name = "atlas-017:depth=56,widths=8-16-32"
    assert network_from_name(name).name == name
    assert network_from_name(name).scheme == scheme
    assert atlas_names("confirmation", 2) == ["atlas-401", "atlas-402"]
    for wrong in ("atlas-000", "atlas-801", "atlas-17", "atlas-", "atlas-001:k=2"):
        with pytest.raises(RequestError):
            scheme_from_name(wrong)
    with pytest.raises(RequestError, match="1 to 400 schemes, not 401"):
        atlas_names("discovery", 401)


def test_a_quarter_is_always_the_same() -> None:
    names = atlas_names("discovery")
    quarter = quarter_of(names)
    assert len(quarter) == 100
    assert quarter == [name for name in names if name in quarter_of(names[::-1])]


def test_the_atlas_as_a_table() -> None:
    table = robustbench_zs.atlas(9)
    assert list(table["scheme"]) == [f"atlas-{number:03d}" for number in range(1, 801)]
    assert table["half"].value_counts().to_dict() == {"discovery": 400, "confirmation": 400}
    assert table["noise_gain"].notna().all()
    assert "noise_gain" not in roots_table([scheme_from_name("euler")])
