"""The root condition (Condition 1 of the paper): all roots in the closed unit disc, those on the circle simple.

`satisfied_exactly` decides it in rational arithmetic, `satisfied_within_tolerance` for coefficients that are floats.
"""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_zs.schemes.polynomial import Polynomial, degree, derivative, divide, gcd, reciprocal, trim

UNIT_TOLERANCE = 1e-9
"""With float coefficients a root counts as on the unit circle when its modulus is within this of 1."""

COINCIDENCE_TOLERANCE = 1e-6
"""With float coefficients two roots on the unit circle closer than this count as one double root.

Rounding the coefficients of a double root by ε splits it by about √ε = 1.5e-8; a simple root moves by about ε."""


def all_roots_inside(p: Polynomial) -> bool:
    """Schur–Cohn test: whether every root of p ≠ 0 has modulus strictly below 1, decided exactly.

    Each step replaces p by (p_0 p − p_n p*) / p_0 without its vanishing constant term, which lowers the degree by one
    and keeps the roots inside if and only if |p_n| < |p_0| (Henrici, Applied and Computational Complex Analysis I, §6.8).
    """
    while degree(p) > 0:
        reflection = p[-1] / p[0]
        if abs(reflection) >= 1:
            return False
        p = tuple(a - reflection * b for a, b in zip(p[:-1], p[:0:-1], strict=True))
    return True


def on_and_off_circle(p: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Split p = c·f with c = gcd(p, p*): c holds all roots on the unit circle and all pairs (ρ, 1/ρ), f none of them."""
    c = gcd(p, reciprocal(p))
    return c, divide(p, c)[0]


def self_reciprocal_roots_simple_on_circle(c: Polynomial) -> bool:
    """Whether all roots of the self-reciprocal c are simple and on the unit circle.

    Cohn's theorem: exactly if all roots of the derivative are strictly inside (Marden, Geometry of Polynomials, §45).
    """
    return degree(c) <= 0 or all_roots_inside(derivative(c))


def satisfied_exactly(p: Polynomial) -> bool:
    """Root condition of a polynomial over the rationals, without rounding."""
    while p[-1] == 0:  # roots at zero, which `reciprocal` would turn into a lower degree
        p = trim(p[:-1])
    c, f = on_and_off_circle(p)
    return all_roots_inside(f) and self_reciprocal_roots_simple_on_circle(c)


def satisfied_within_tolerance(roots: Sequence[complex]) -> bool:
    """Root condition of computed roots, with `UNIT_TOLERANCE` and `COINCIDENCE_TOLERANCE`."""
    if any(abs(r) > 1 + UNIT_TOLERANCE for r in roots):
        return False
    circle = [r for r in roots if abs(r) >= 1 - UNIT_TOLERANCE]
    return all(abs(a - b) > COINCIDENCE_TOLERANCE for i, a in enumerate(circle) for b in circle[:i])
