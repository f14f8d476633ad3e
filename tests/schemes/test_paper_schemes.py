"""Schemes of the paper: its published numbers, and the theorems about its families."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustbench_zs.errors import RequestError
from robustbench_zs.schemes import (
    ONE_STEP_REGION,
    OPTIMAL_LAMBDA,
    THIRD_ORDER_REGION,
    TWO_STEP_REGION,
    MultistepScheme,
    one_step,
    scheme_from_name,
    third_order,
    two_step,
)

# Table 10 as printed: moduli and verdict.
TABLE_10 = [
    ("table10-1", "1.84 0.74 0.74", False),
    ("table10-2", "0.57 1.00 2.18", False),
    ("table10-3", "4.24 0.24 1.00", False),
    ("table10-4", "1.88 0.13 1.00", False),
    ("table10-5", "1.00 0.87 0.87", True),
    ("table10-6", "0.81 0.61 0.61", True),
    ("table10-7", "0.94 0.33 0.33", True),
    ("table10-8", "1.00 0.52 0.52", True),
    ("table10-9", "0.60 0.82 0.82", True),
    ("table10-10", "0.33 0.33 1.00", True),
]
CONSISTENT = {"table10-2", "table10-3", "table10-4", "table10-5", "table10-8", "table10-10"}


@pytest.mark.parametrize(("name", "printed", "stable"), TABLE_10)
@pytest.mark.parametrize("number", [Fraction, float], ids=["exact", "float"])
def test_table_10(name: str, printed: str, stable: bool, number: type) -> None:
    named = scheme_from_name(name)
    assert named.beta is not None
    scheme = MultistepScheme([number(a) for a in named.alphas], number(named.beta))
    assert sorted(f"{m:.2f}" for m in scheme.moduli) == sorted(printed.split())
    assert scheme.zero_stable is stable
    assert scheme.consistent is (name in CONSISTENT)


fine = st.fractions(min_value=-6, max_value=6, max_denominator=60)


@settings(max_examples=150, deadline=None)
@given(parameter=fine | st.sampled_from([Fraction(n) for n in (-1, 0, 1)]))
def test_regions_of_one_and_two_steps(parameter: Fraction) -> None:
    assert (parameter in ONE_STEP_REGION) == one_step(parameter).zero_stable
    assert (parameter in TWO_STEP_REGION) == two_step(parameter).zero_stable


@settings(max_examples=200, deadline=None)
@given(lam=fine.filter(bool) | st.sampled_from([Fraction(-1), Fraction(1, 3), Fraction(100), Fraction(-100)]))
def test_region_of_the_third_order(lam: Fraction) -> None:
    scheme = third_order(lam)
    assert (lam in THIRD_ORDER_REGION) == scheme.zero_stable
    assert scheme.consistent  # Theorem 1
    assert scheme.principal_root == pytest.approx(1)


@pytest.mark.parametrize(
    ("region", "text"),
    [(ONE_STEP_REGION, "[-1, 1]"), (TWO_STEP_REGION, "(-1, 1]"), (THIRD_ORDER_REGION, "(-∞, -1] ∪ (1/3, ∞)")],
)
def test_regions_as_the_field_writes_them(region: object, text: str) -> None:
    assert str(region) == text


@pytest.mark.parametrize("lam", ["-1", -1, -1.0])
def test_the_simple_root_at_minus_one_is_stable(lam: object) -> None:
    scheme = third_order(lam)  # type: ignore[arg-type]
    assert scheme.zero_stable
    assert sorted(r.real for r in scheme.roots) == pytest.approx([-1, 0, 1])


def test_the_optimal_scheme() -> None:
    """Theorem 3: λ* = −9/5, coefficients 1/3, 5/9, 1/9 and 16/9, parasitic roots both −1/3."""
    scheme = third_order(OPTIMAL_LAMBDA)
    assert scheme == MultistepScheme(["1/3", "5/9", "1/9"], "16/9")
    assert scheme.parasitic_roots == pytest.approx((-1 / 3, -1 / 3))


@pytest.mark.parametrize("lam", [Fraction(n, 10) for n in (-100, -50, -30, -20, -17, -15, -10, 4, 10, 100)])
def test_no_other_lambda_has_smaller_parasitic_roots(lam: Fraction) -> None:
    assert max(map(abs, third_order(lam).parasitic_roots)) > 1 / 3


def test_the_optimal_scheme_in_rounded_coefficients() -> None:
    scheme = MultistepScheme([1 / 3, 5 / 9, 1 / 9], 16 / 9)
    assert scheme.zero_stable
    assert scheme.consistent
    # The table's four decimals are another scheme, whose sum is exactly 1 and whose β is off by 1/20000.
    printed = MultistepScheme(["0.3333", "0.5556", "0.1111"], "1.7778")
    assert printed.zero_stable
    assert printed.consistency_defects == (0, 0)


@pytest.mark.parametrize("k", ["-1.5", "1.5", "-0.5", "0.5", "0", "1"])
def test_both_betas_of_the_two_step_family(k: str) -> None:
    assert two_step(k).consistent
    assert two_step(k).beta == 1 + Fraction(k)
    assert two_step(k, "printed").beta == 2 * Fraction(k) + 1
    assert two_step(k, "printed").consistent is (k == "0")
    assert two_step(k).moduli == pytest.approx(sorted((1, abs(float(k))), reverse=True))


def test_parameters_out_of_the_families() -> None:
    with pytest.raises(RequestError):
        third_order(0)
    with pytest.raises(RequestError):
        two_step("0.5", "other")  # type: ignore[arg-type]


def test_defects_are_exact() -> None:
    scheme = MultistepScheme(["0.5", "0.3", "0.1"], "0.1")
    assert scheme.consistency_defects == (Fraction(-1, 10), Fraction(1, 10) - Fraction(3, 2))
    assert scheme.required_beta == Fraction(3, 2)
    assert scheme.consistent is False
    assert MultistepScheme(["1"]).consistent is None
    assert MultistepScheme([0.1, 0.2, 0.7], 1 + 0.2 + 2 * 0.7).consistent is True


@pytest.mark.parametrize(
    ("alphas", "principal", "parasitic"),
    [
        (["0.5"], 0.5, []),
        (["2", "0"], 2, [0]),  # 2 and 0 are as near to 1: the larger is the principal one
        (["0.25", "0.125"], 0.5, [-0.25]),
        (["0", "0", "0", "1"], 1, [1j, -1j, -1]),
    ],
)
def test_the_principal_root_is_the_one_nearest_to_1(alphas: list[str], principal: float, parasitic: list[complex]) -> None:
    scheme = MultistepScheme(alphas)
    assert scheme.principal_root == pytest.approx(principal)
    assert sorted(scheme.parasitic_roots, key=lambda r: (round(r.real, 9), round(r.imag, 9))) == pytest.approx(
        sorted(parasitic, key=lambda r: (r.real, r.imag)) if parasitic else []
    )
