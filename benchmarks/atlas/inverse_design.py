"""Schemes by inverse design: roots are drawn and expanded to coefficients, exactly.

Real roots, real parts and squared moduli of conjugate pairs have two decimals, so coefficients have at most eight, and a
modulus of 1 is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from random import Random
from typing import TypeVar

from robustbench_zs.schemes.polynomial import Polynomial
from robustbench_zs.schemes.scheme import MultistepScheme

ORDERS = ((1, 0.10), (2, 0.30), (3, 0.30), (4, 0.30))
MODULI: tuple[tuple[tuple[float, float], float], ...] = (
    ((0.20, 0.97), 0.30),
    ((1.00, 1.00), 0.25),
    ((1.01, 1.40), 0.25),
    ((1.41, 2.50), 0.20),
)
"""Ranges of the largest modulus and their shares. At 2.5 a network of 56 layers can still be trained."""

ROOT_AT_ONE = 0.40
"""Share of schemes with a root at 1; only those whose largest modulus is at least 1 can have it."""

CONSISTENT = 0.60
"""Share of those with a root at 1 that have the consistent β; the others draw it, log-uniformly, from `BETAS`."""

BETAS = (0.2, 4.0)
CONSISTENT_BETAS = (0.1, 10.0)
"""Magnitudes accepted; the sign of β says nothing, since that of a residual is learned."""

PAIR = 0.36
"""Chance of a conjugate pair wherever two roots are still to be drawn, so that about 45% of the schemes have one."""

AS_LARGE = 0.20
"""Chance of another root to be as large as the largest one: multiple roots and several on the unit circle."""

SMALLEST = Fraction(1, 20)
"""Modulus; a root at 0 would make a scheme of lower order."""

ONE = (Fraction(1), Fraction(-1))

T = TypeVar("T")


def draw_pool(seed: int, size: int) -> list[MultistepScheme]:
    """So many different schemes with β, the same for the same seed on every machine."""
    # Of `Random` only `random()` is promised to stay the same in later versions of Python.
    random = Random(seed)
    pool: dict[MultistepScheme, None] = {}
    while len(pool) < size:
        pool[draw_scheme(random)] = None
    return list(pool)


def draw_scheme(random: Random) -> MultistepScheme:
    """One scheme; roots and β are drawn until they are what was asked for, so that the shares above hold."""
    low, high = _one_of(random, MODULI)
    with_one = low >= 1 and random.random() < ROOT_AT_ONE / sum(share for (low, _), share in MODULI if low >= 1)
    consistent = with_one and random.random() < CONSISTENT
    while True:
        factors = _factors(random, _one_of(random, ORDERS), _decimals(low + (high - low) * random.random()), with_one)
        if factors is None:
            continue
        alphas = [-c for c in expand(factors)[1:]]
        if not consistent:
            return MultistepScheme(alphas, _decimals(BETAS[0] * (BETAS[1] / BETAS[0]) ** random.random()))
        beta = Fraction(MultistepScheme(alphas).required_beta)
        if CONSISTENT_BETAS[0] <= abs(beta) <= CONSISTENT_BETAS[1]:
            return MultistepScheme(alphas, beta)


def _factors(random: Random, order: int, largest: Fraction, with_one: bool) -> list[Polynomial] | None:
    """Of a scheme of that order and largest modulus; None where it has no place for both, or a root at 1 unasked."""
    factors: list[Polynomial] = [ONE] if with_one else []
    if not (with_one and largest == 1):
        if len(factors) == order:
            return None
        factors.append(_factor(random, order - len(factors), largest, largest))
    while (left := order - sum(len(f) - 1 for f in factors)) > 0:
        least = largest if random.random() < AS_LARGE else SMALLEST
        factors.append(_factor(random, left, least, largest))
    return factors if (ONE in factors) == with_one else None


def expand(factors: list[Polynomial]) -> Polynomial:
    """The product of the factors."""
    product: Polynomial = (Fraction(1),)
    for factor in factors:
        terms = [Fraction(0)] * (len(product) + len(factor) - 1)
        for i, a in enumerate(product):
            for j, b in enumerate(factor):
                terms[i + j] += a * b
        product = tuple(terms)
    return product


def _factor(random: Random, places: int, least: Fraction, most: Fraction) -> Polynomial:
    """ρ − r, or ρ² − 2 a ρ + m of a conjugate pair where there are two places; moduli from `least` to `most`."""
    modulus = least + (most - least) * Fraction(random.random())
    if places >= 2 and random.random() < PAIR:
        squared = _decimals(modulus**2)
        real = _decimals(math.sqrt(squared) * math.cos(math.pi * random.random()))
        if real**2 < squared:
            return Fraction(1), -2 * real, squared
    sign = 1 if random.random() < 0.5 else -1
    return Fraction(1), -sign * _decimals(modulus)


def _decimals(value: float | Fraction) -> Fraction:
    return Fraction(round(value * 100), 100)


def _one_of(random: Random, shares: Sequence[tuple[T, float]]) -> T:
    at = random.random()
    for value, share in shares[:-1]:
        if at < share:
            return value
        at -= share
    return shares[-1][0]
