"""Verdicts against polynomials whose roots are known by construction."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustbench_zs.schemes import MultistepScheme

Poly = list[Fraction]


def product(*factors: Poly) -> Poly:
    result: Poly = [Fraction(1)]
    for factor in factors:
        longer = [Fraction(0)] * (len(result) + len(factor) - 1)
        for i, a in enumerate(result):
            for j, b in enumerate(factor):
                longer[i + j] += a * b
        result = longer
    return result


def scheme_of(polynomial: Poly) -> MultistepScheme:
    """The scheme whose characteristic polynomial is this monic one."""
    return MultistepScheme([-c for c in polynomial[1:]])


rationals = st.fractions(min_value=-3, max_value=3, max_denominator=12)


@settings(max_examples=150, deadline=None)
@given(roots=st.lists(rationals, min_size=1, max_size=6))
def test_real_roots(roots: list[Fraction]) -> None:
    scheme = scheme_of(product(*([Fraction(1), -r] for r in roots)))
    circle = [r for r in roots if abs(r) == 1]
    assert scheme.zero_stable == (max(map(abs, roots)) <= 1 and len(set(circle)) == len(circle))
    np.testing.assert_allclose(scheme.moduli, sorted((abs(float(r)) for r in roots), reverse=True), atol=1e-4)


pairs = st.tuples(st.integers(-11, 11), st.integers(-11, 11)).filter(lambda ab: ab[1] != 0)


@settings(max_examples=150, deadline=None)
@given(pairs=st.lists(pairs, min_size=1, max_size=3), denominator=st.integers(5, 13), zeros=st.integers(0, 2))
def test_complex_pairs(pairs: list[tuple[int, int]], denominator: int, zeros: int) -> None:
    """(a ± bi)/c: on the circle exactly where a² + b² = c², as for 3, 4, 5 and 5, 12, 13."""
    factors = [
        [Fraction(1), Fraction(-2 * a, denominator), Fraction(a * a + b * b, denominator * denominator)] for a, b in pairs
    ]
    scheme = scheme_of(product(*factors, *([[Fraction(1), Fraction(0)]] * zeros)))
    circle = [(a, abs(b)) for a, b in pairs if a * a + b * b == denominator**2]
    inside = all(a * a + b * b <= denominator**2 for a, b in pairs)
    assert scheme.zero_stable == (inside and len(set(circle)) == len(circle))


@pytest.mark.parametrize("n", range(1, 31))
def test_roots_of_unity_are_simple_on_the_circle(n: int) -> None:
    unity = [Fraction(1)] + [Fraction(0)] * (n - 1) + [Fraction(-1)]
    scheme = scheme_of(unity)
    assert scheme.zero_stable
    assert scheme.moduli == pytest.approx([1.0] * n, abs=1e-12)
    assert not scheme_of(product(unity, [Fraction(1), Fraction(-1)])).zero_stable  # 1 is then a double root
    assert scheme_of(product(unity, [Fraction(1), Fraction(1, 2)])).zero_stable
    assert not scheme_of(product(unity, [Fraction(1), Fraction(-3, 2)])).zero_stable


@pytest.mark.parametrize("alphas", [["2", "-1"], [2, -1], [2.0, -1.0], [Fraction(2), -1], ["2", -1.0]])
def test_a_double_root_on_the_circle_is_not_stable(alphas: list[object]) -> None:
    scheme = MultistepScheme(alphas)  # type: ignore[arg-type]
    assert not scheme.zero_stable
    assert scheme.moduli == pytest.approx([1, 1], abs=1e-6)


@pytest.mark.parametrize("distance", ["1e-12", "1e-20", "1e-30"])
def test_exact_verdicts_see_what_floating_point_cannot(distance: str) -> None:
    """Roots 1 and 1 − d are stable, 1 and 1 + d are not, however small d is."""
    d = Fraction(distance)
    for other, stable in ((1 - d, True), (1 + d, False)):
        assert MultistepScheme([1 + other, -other]).zero_stable is stable


@pytest.mark.parametrize("number", [str, float], ids=["exact", "float"])
def test_a_double_pair_on_the_circle_is_not_stable(number: type) -> None:
    pair = [Fraction(1), Fraction(-6, 5), Fraction(1)]  # (3 ± 4i)/5
    assert scheme_of(pair).zero_stable
    alphas = [number(-c) for c in product(pair, pair)[1:]]
    assert not MultistepScheme(alphas).zero_stable


@pytest.mark.parametrize("multiplicity", [2, 3, 5, 8])
def test_multiple_roots_inside_are_allowed_and_not_torn_apart(multiplicity: int) -> None:
    scheme = scheme_of(product([Fraction(1), Fraction(-1)], *([[Fraction(1), Fraction(1, 3)]] * multiplicity)))
    assert scheme.zero_stable
    assert scheme.moduli == pytest.approx([1] + [1 / 3] * multiplicity, abs=1e-12)


def test_all_coefficients_zero() -> None:
    assert MultistepScheme([0, 0, 0]).zero_stable
    assert MultistepScheme([0, 0, 0]).moduli == (0, 0, 0)


@settings(max_examples=60, deadline=None)
@given(alphas=st.lists(st.integers(-300, 300).map(lambda i: i / 100), min_size=1, max_size=5))
def test_floats_and_decimals_agree_away_from_the_circle(alphas: list[float]) -> None:
    exact = MultistepScheme([repr(a) for a in alphas])
    assert exact.exact
    if min(abs(m - 1) for m in exact.moduli) > 1e-6:
        assert MultistepScheme(alphas).zero_stable == exact.zero_stable


@settings(max_examples=60, deadline=None)
@given(alphas=st.lists(rationals, min_size=1, max_size=6))
def test_roots_are_those_of_the_companion_matrix(alphas: list[Fraction]) -> None:
    scheme = MultistepScheme(alphas)
    companion = np.zeros((len(alphas), len(alphas)))
    companion[0] = [float(a) for a in alphas]
    companion[1:, :-1] += np.eye(len(alphas) - 1)
    assert scheme.largest_modulus == pytest.approx(max(abs(np.linalg.eigvals(companion))), abs=2e-3)
    for root in scheme.roots:
        value = np.polyval([1.0, *(-float(a) for a in alphas)], root)
        assert abs(value) < 1e-6 * max(1.0, abs(root)) ** len(alphas) * 100
