"""Run times of networks that took turns: medians, and ratios pair by pair."""

from __future__ import annotations

from typing import Any

import pandas as pd


def runtime_summary(passes: pd.DataFrame, epochs: int, train_images: int, test_images: int) -> pd.DataFrame:
    """One row per network, phase and batch size.

    Args:
        passes: one row per pass, see `evaluation.runtime.measure_runtime`; the first network is what the others relate to.
        epochs, train_images, test_images: what the times are scaled up to: so many passes over so many images.

    Returns:
        `network`, `phase`, `batch_size`, `seconds` (median over passes, scaled up), `seconds_std`, `ratio`, `ratio_low` and
        `ratio_high` (median, least and greatest ratio to the first network's pass of the same turn; 1 for itself).
    """
    first = passes["network"].iloc[0]
    turns = passes.pivot_table("seconds_per_image", ["phase", "batch_size", "repeat"], "network", sort=False)
    rows = []
    for (phase, size, network), group in passes.groupby(["phase", "batch_size", "network"], sort=False):
        scaled = group["seconds_per_image"] * epochs * (train_images if phase == "training" else test_images)
        pairs: Any = turns.xs((phase, size))
        ratios = pairs[network] / pairs[first]
        rows.append(
            {
                "network": network,
                "phase": phase,
                "batch_size": size,
                "seconds": scaled.median(),
                "seconds_std": scaled.std(),
                "ratio": ratios.median(),
                "ratio_low": ratios.min(),
                "ratio_high": ratios.max(),
            }
        )
    return pd.DataFrame(rows)
