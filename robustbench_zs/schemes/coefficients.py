"""Coefficients as text, fractions and floats.

Text, integers, `Decimal` and `Fraction` say exactly which number is meant and become a `Fraction`. A Python float is a
rounding of some number, so it stays a float and every verdict on it is taken with a tolerance.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from robustbench_zs.errors import RequestError

Coefficient: TypeAlias = Fraction | float
CoefficientLike: TypeAlias = str | int | float | Decimal | Fraction | np.integer | np.floating

LARGEST = 10**12
"""Largest magnitude accepted: beyond it the roots in double precision say nothing about the unit circle."""

_TEXT = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?(\s*/\s*\d{1,40})?")
_HEX_FLOAT = re.compile(r"-?0x[01]\.[0-9a-f]{1,13}p[+-]\d{1,4}")


def parse_coefficient(value: CoefficientLike) -> Coefficient:
    """Read one coefficient: `"1/3"`, `"0.25"`, `"-1e-3"`, `5`, `Fraction(5, 9)` exactly, `0.1` as the float it is.

    Raises:
        RequestError: not a number, not finite, or larger than 10^12 in magnitude.
    """
    number: Coefficient
    if isinstance(value, (bool, np.bool_)):
        raise RequestError(f"a coefficient must be a number, not {value!r}")
    if isinstance(value, (float, np.floating)):
        if not math.isfinite(value):
            raise RequestError(f"a coefficient must be finite, not {value!r}")
        number = float(value)
    elif isinstance(value, str):
        number = _parse_text(value.strip())
    elif isinstance(value, Decimal):
        number = _parse_text(str(value))
    elif isinstance(value, (int, np.integer)):
        number = Fraction(int(value))
    elif isinstance(value, Fraction):
        number = value
    else:
        raise RequestError(f"a coefficient must be a number or text such as '1/3', not {type(value).__name__}")
    if not -LARGEST <= number <= LARGEST:
        raise RequestError(f"the coefficient {str(value)[:40]!r} is larger than 1e12 in magnitude")
    return number


def _parse_text(text: str) -> Coefficient:
    if _HEX_FLOAT.fullmatch(text):
        return float.fromhex(text)
    # The pattern bounds digits and exponents, so that '1e999999999' cannot ask for a gigabyte of digits.
    if not _TEXT.fullmatch(text):
        raise RequestError(f"{text[:40]!r} is not a coefficient: write a decimal such as -0.25 or a fraction such as 1/3")
    numerator, _, denominator = text.partition("/")
    if not denominator:
        return Fraction(text)
    if int(denominator) == 0:
        raise RequestError(f"{text[:40]!r} divides by zero")
    return Fraction(numerator.strip()) / int(denominator)


def format_coefficient(value: Coefficient) -> str:
    """Text for people: `"0.25"` where the decimal ends early, `"1/3"` where it does not, a float's shortest form."""
    if isinstance(value, float):
        return repr(value)
    for digits in range(7):
        if (value * 10**digits).denominator == 1:
            return f"{Decimal(value.numerator) / Decimal(value.denominator):f}"
    return str(value)


def serialize_coefficient(value: Coefficient) -> str:
    """Text that `parse_coefficient` reads back as the very same value; floats are hexadecimal, so they stay floats."""
    return value.hex() if isinstance(value, float) else str(value)
