"""Python's numbers: the largest seed, and those that NumPy's, which notebooks are full of, become."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

MAX_SEED = 2**63 - 1
"""Of trainings and of random draws: what generators and SQLite take."""


def take_python_numbers(value: Any) -> None:
    """Turn NumPy scalars in the fields of a frozen dataclass into the Python numbers that they are.

    Keys and headers are JSON, which has no place for others.
    """
    import numpy as np

    for field in fields(value):
        number = getattr(value, field.name)
        if isinstance(number, np.generic):
            object.__setattr__(value, field.name, number.item())
