"""Polynomials over the rationals, as tuples of coefficients with the highest power first."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TypeAlias

Polynomial: TypeAlias = tuple[Fraction, ...]


def trim(p: Sequence[Fraction]) -> Polynomial:
    """Drop leading zeros; the zero polynomial is the empty tuple."""
    for i, coefficient in enumerate(p):
        if coefficient:
            return tuple(p[i:])
    return ()


def degree(p: Polynomial) -> int:
    """Degree of a trimmed polynomial, −1 for the zero polynomial."""
    return len(p) - 1


def monic(p: Polynomial) -> Polynomial:
    return tuple(c / p[0] for c in p)


def derivative(p: Polynomial) -> Polynomial:
    n = degree(p)
    return trim([c * (n - i) for i, c in enumerate(p[:-1])])


def reciprocal(p: Polynomial) -> Polynomial:
    """z^n p(1/z), whose roots are the inverses of the roots of p."""
    return trim(p[::-1])


def divide(p: Polynomial, q: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder of p by q ≠ 0."""
    remainder = list(p)
    quotient = []
    for i in range(max(len(p) - len(q) + 1, 0)):
        factor = remainder[i] / q[0]
        quotient.append(factor)
        for j, c in enumerate(q):
            remainder[i + j] -= factor * c
    return trim(quotient), trim(remainder[max(len(p) - len(q) + 1, 0) :])


def gcd(p: Polynomial, q: Polynomial) -> Polynomial:
    """Monic greatest common divisor; the remainders are kept monic so that their digits grow slowly."""
    while q:
        p, q = q, divide(p, q)[1]
        q = monic(q) if q else q
    return monic(p)


def square_free_factors(p: Polynomial) -> list[tuple[Polynomial, int]]:
    """Yun's algorithm: pairs (factor, multiplicity) with square-free, pairwise coprime factors of degree ≥ 1."""
    factors = []
    common = gcd(p, derivative(p))
    rest = divide(p, common)[0]
    multiplicity = 1
    while degree(rest) > 0:
        shared = gcd(rest, common)
        factor = divide(rest, shared)[0]
        if degree(factor) > 0:
            factors.append((monic(factor), multiplicity))
        rest, common = shared, divide(common, shared)[0]
        multiplicity += 1
    return factors
