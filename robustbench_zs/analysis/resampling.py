"""Bootstraps over schemes, for what has no better interval."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.intp]

RESAMPLES = 2000


def percentile_interval(values: Floats, confidence: float = 0.95) -> tuple[float | None, float | None]:
    """Percentile bootstrap interval of the finite values."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None, None
    low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
