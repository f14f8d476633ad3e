"""The paper's one-parameter families and the parameters for which they are zero-stable."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from robustbench_zs.errors import RequestError
from robustbench_zs.schemes.coefficients import Coefficient, CoefficientLike, format_coefficient, parse_coefficient
from robustbench_zs.schemes.scheme import MultistepScheme


@dataclass(frozen=True)
class Interval:
    """An interval of the real line; an end that is None is infinite, an end counts only where it is closed."""

    low: Fraction | None
    high: Fraction | None
    low_closed: bool = False
    high_closed: bool = False

    def __contains__(self, value: Coefficient) -> bool:
        above = self.low is None or value > self.low or (self.low_closed and value == self.low)
        below = self.high is None or value < self.high or (self.high_closed and value == self.high)
        return above and below

    def __str__(self) -> str:
        low = "-∞" if self.low is None else format_coefficient(self.low)
        high = "∞" if self.high is None else format_coefficient(self.high)
        return f"{'[' if self.low_closed else '('}{low}, {high}{']' if self.high_closed else ')'}"


@dataclass(frozen=True)
class ZeroStableRegion:
    """The parameters for which a family satisfies the root condition; `value in region` is exact."""

    intervals: tuple[Interval, ...]

    def __contains__(self, value: CoefficientLike) -> bool:
        number = parse_coefficient(value)
        return any(number in interval for interval in self.intervals)

    def __str__(self) -> str:
        return " ∪ ".join(str(interval) for interval in self.intervals)


ONE_STEP_REGION = ZeroStableRegion((Interval(Fraction(-1), Fraction(1), True, True),))
"""Eq. 7: the only root is α, so |α| ≤ 1."""

TWO_STEP_REGION = ZeroStableRegion((Interval(Fraction(-1), Fraction(1), False, True),))
"""Eq. 8: the roots are 1 and −k; k = −1 makes 1 a double root, k = 1 leaves −1 simple."""

THIRD_ORDER_REGION = ZeroStableRegion((Interval(None, Fraction(-1), high_closed=True), Interval(Fraction(1, 3), None)))
"""Eq. 10. Theorem 2 leaves the end λ = −1 open, but its roots 1, −1 and 0 are simple, so it belongs to the region."""

OPTIMAL_LAMBDA = Fraction(-9, 5)
"""λ* of Theorem 3: coefficients 1/3, 5/9, 1/9 and 16/9, parasitic roots both −1/3."""


def one_step(alpha: CoefficientLike, name: str | None = None) -> MultistepScheme:
    """Eq. 7, y_{n+1} = α y_n + f(y_n): PreResNet with weighted shortcut, the Euler method for α = 1.

    Examples:
        >>> zs.one_step("1.5").zero_stable
        False
    """
    return MultistepScheme((alpha,), 1, name)


def two_step(
    k: CoefficientLike, beta: Literal["consistent", "printed"] = "consistent", name: str | None = None
) -> MultistepScheme:
    """Eq. 8, y_{n+1} = (1 − k) y_n + k y_{n−1} + β f(y_n): the LM-ResNet with a shared k.

    The consistent β is 1 + k (the default). The paper prints 2k + 1, which at its own k = −0.5 is 0, so that no residual
    block would act; `beta="printed"` gives that form.

    Examples:
        >>> scheme = zs.two_step("1/2")
        >>> str(scheme), scheme.consistent
        ('α = 0.5, 0.5; β = 1.5', True)
    """
    number = parse_coefficient(k)
    if beta not in ("consistent", "printed"):
        raise RequestError(f"beta of the two-step family must be 'consistent' (1 + k) or 'printed' (2k + 1), not {beta!r}")
    return MultistepScheme((1 - number, number), 1 + number if beta == "consistent" else 2 * number + 1, name)


def third_order(lam: CoefficientLike, name: str | None = None) -> MultistepScheme:
    """Eq. 10, the ZeroSNet with parameter λ ≠ 0; consistent for every λ (Theorem 1).

    Raises:
        RequestError: λ = 0, the family's pole.

    Examples:
        >>> str(zs.third_order("-9/5"))
        'α = 1/3, 5/9, 1/9; β = 16/9'
    """
    number = parse_coefficient(lam)
    if number == 0:
        raise RequestError("lambda must not be 0: eq. 10 divides by it")
    return MultistepScheme(*third_order_coefficients(number), name)


def third_order_coefficients(lam: Any) -> tuple[tuple[Any, Any, Any], Any]:
    """(α_0, α_1, α_2), β of eq. 10, for a number as for a tensor of them; λ ≠ 0."""
    common = (1 + lam) / (4 * lam)
    return (3 * common, -1 / lam, common), (3 * lam - 1) / (2 * lam)
