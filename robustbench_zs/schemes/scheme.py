"""Linear multistep schemes y_{n+1} = Σ α_i y_{n−i} + h β f(y_n) (Definition 2 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import numpy as np

from robustbench_zs.errors import RequestError
from robustbench_zs.schemes import root_condition
from robustbench_zs.schemes.coefficients import Coefficient, CoefficientLike, format_coefficient, parse_coefficient
from robustbench_zs.schemes.polynomial import degree, square_free_factors

CONSISTENCY_TOLERANCE = 1e-9
"""Largest consistency defect of a scheme with float coefficients that still counts as none."""

MAX_ORDER = 128
"""Highest order accepted; rational arithmetic takes about a second there."""

MAX_DIGITS = 400_000
"""Of exact coefficients, order² × bits over a common denominator: rational arithmetic takes seconds there, soon hours."""


@dataclass(frozen=True, init=False)
class MultistepScheme:
    """A scheme of order d = len(alphas) ≥ 1: the coefficients α_0 … α_{d−1} of the states and β of the residual.

    Coefficients given as text, `int`, `Decimal` or `Fraction` are exact and every verdict on them is exact; if one is a
    float, verdicts are taken with the tolerances in `root_condition` and `CONSISTENCY_TOLERANCE`. β may be left out where
    only the characteristic polynomial matters; then `consistent` is None. Two schemes are equal if their coefficients are.

    Raises:
        RequestError: no α, more than 128, a coefficient that is not a finite number up to 10^12, or exact ones with too many
            digits together.

    Examples:
        >>> scheme = zs.MultistepScheme(["1/3", "5/9", "1/9"], "16/9")
        >>> scheme.zero_stable, scheme.consistent
        (True, True)
        >>> [round(modulus, 3) for modulus in scheme.moduli]
        [1.0, 0.333, 0.333]
    """

    alphas: tuple[Coefficient, ...]
    beta: Coefficient | None
    name: str | None = field(compare=False)

    def __init__(
        self, alphas: Iterable[CoefficientLike], beta: CoefficientLike | None = None, name: str | None = None
    ) -> None:
        if isinstance(alphas, str):
            raise RequestError("alphas must be a sequence of coefficients, such as ['1/3', '5/9', '1/9']")
        object.__setattr__(self, "alphas", tuple(parse_coefficient(a) for a in alphas))
        object.__setattr__(self, "beta", None if beta is None else parse_coefficient(beta))
        object.__setattr__(self, "name", name)
        if not 1 <= self.order <= MAX_ORDER:
            raise RequestError(f"a scheme must have 1 to {MAX_ORDER} coefficients alpha, not {self.order}")
        if self.exact and self.order**2 * _bits(self.alphas) > MAX_DIGITS:
            raise RequestError(
                f"the {self.order} coefficients alpha together have too many digits for exact arithmetic: shorten them, or "
                "give them as floats"
            )

    @property
    def order(self) -> int:
        """Number d of past states that enter a step."""
        return len(self.alphas)

    @property
    def exact(self) -> bool:
        """Whether all coefficients α are exact, so that the root condition is decided without rounding."""
        return not any(isinstance(a, float) for a in self.alphas)

    @property
    def characteristic_polynomial(self) -> tuple[Coefficient, ...]:
        """Coefficients of ρ^d − Σ α_i ρ^(d−1−i), highest power first; length d + 1."""
        return (Fraction(1), *(-a for a in self.alphas))

    @cached_property
    def roots(self) -> tuple[complex, ...]:
        """The d roots with their multiplicities, by descending modulus, then real part, then imaginary part.

        Exact coefficients are first split into square-free factors, so multiple roots are not torn apart by rounding,
        and roots that are known to lie on the unit circle have modulus 1.
        """
        roots = self._roots_of_exact() if self.exact else _numeric_roots(self.characteristic_polynomial)
        return tuple(sorted(roots, key=lambda r: (-round(abs(r), 12), -round(r.real, 12), -r.imag)))

    def _roots_of_exact(self) -> list[complex]:
        p = tuple(Fraction(c) for c in self.characteristic_polynomial)
        zeros = next(i for i, c in enumerate(reversed(p)) if c)
        circle, off = root_condition.on_and_off_circle(p[: len(p) - zeros])
        roots = [0j] * zeros
        for factor, multiplicity in square_free_factors(off) if degree(off) > 0 else []:
            roots += _numeric_roots(factor) * multiplicity
        for factor, multiplicity in square_free_factors(circle) if degree(circle) > 0 else []:
            found = _numeric_roots(factor)
            if root_condition.self_reciprocal_roots_simple_on_circle(factor):
                found = [r / abs(r) for r in found]
            roots += found * multiplicity
        return roots

    @cached_property
    def moduli(self) -> tuple[float, ...]:
        """Moduli of the roots, descending."""
        return tuple(abs(r) for r in self.roots)

    @property
    def largest_modulus(self) -> float:
        """Spectral radius of the companion matrix."""
        return self.moduli[0]

    @property
    def principal_root(self) -> complex:
        """The root nearest to 1, the larger of two as near; a consistent scheme has it at 1."""
        return min(self.roots, key=lambda r: (round(abs(r - 1), 9), -round(abs(r), 9), -r.imag))

    @property
    def parasitic_roots(self) -> tuple[complex, ...]:
        """All roots but the principal one, by descending modulus; none for d = 1."""
        roots = list(self.roots)
        roots.remove(self.principal_root)
        return tuple(roots)

    @cached_property
    def zero_stable(self) -> bool:
        """The root condition (Condition 1): every |ρ| ≤ 1 and roots with |ρ| = 1 simple."""
        if self.exact:
            return root_condition.satisfied_exactly(tuple(Fraction(c) for c in self.characteristic_polynomial))
        return root_condition.satisfied_within_tolerance(self.roots)

    @property
    def required_beta(self) -> Coefficient:
        """The β that consistency asks for, 1 + Σ i·α_i."""
        return sum((i * a for i, a in enumerate(self.alphas)), start=Fraction(1))

    @property
    def consistency_defects(self) -> tuple[Coefficient, Coefficient | None]:
        """(Σ α_i − 1, β − required β); both 0 for a consistent scheme, the second None without β."""
        sum_defect = sum(self.alphas, start=Fraction(-1))
        return sum_defect, None if self.beta is None else self.beta - self.required_beta

    @property
    def consistent(self) -> bool | None:
        """Whether both consistency defects vanish (Definition 4); None without β."""
        sum_defect, beta_defect = self.consistency_defects
        if beta_defect is None:
            return None
        return all(
            abs(defect) <= CONSISTENCY_TOLERANCE if isinstance(defect, float) else defect == 0
            for defect in (sum_defect, beta_defect)
        )

    def __str__(self) -> str:
        alphas = ", ".join(format_coefficient(a) for a in self.alphas)
        beta = "" if self.beta is None else f"; β = {format_coefficient(self.beta)}"
        return f"α = {alphas}{beta}"


def _bits(alphas: tuple[Coefficient, ...]) -> int:
    """Of the largest integer once the coefficients are over their common denominator."""
    exact = [Fraction(a) for a in alphas]
    common = math.lcm(*(a.denominator for a in exact))
    return max(common, *(abs(a.numerator) * (common // a.denominator) for a in exact)).bit_length()


def _numeric_roots(p: tuple[Coefficient, ...]) -> list[complex]:
    return [complex(r.real, r.imag or 0.0) for r in np.roots([float(c) for c in p])]
