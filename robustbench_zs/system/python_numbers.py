"""Turns NumPy's numbers, which notebooks are full of, into Python's."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


def take_python_numbers(value: Any) -> None:
    """Turn NumPy scalars in the fields of a frozen dataclass into the Python numbers that they are.

    Keys and headers are JSON, which has no place for others.
    """
    import numpy as np

    for field in fields(value):
        number = getattr(value, field.name)
        if isinstance(number, np.generic):
            object.__setattr__(value, field.name, number.item())
