"""Bootstraps over schemes, for what has no better interval."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.intp]


CONFIDENCE = 0.95


def percentile_interval(values: Floats) -> tuple[float | None, float | None]:
    """95% percentile bootstrap interval of the finite values."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None, None
    low, high = np.quantile(finite, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
