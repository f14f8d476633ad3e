"""Zero-stable against non-zero-stable networks as an effect size, with an interval over schemes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from robustbench_zs.analysis.predictors import network_predictors, round_significant
from robustbench_zs.analysis.resampling import RESAMPLES, Floats, percentile_interval

FEWEST_A_SIDE = 3
"""With fewer schemes on a side no interval is given."""


@dataclass(frozen=True)
class EffectSize:
    """Non-zero-stable − zero-stable, each scheme counting once; None where it cannot be computed.

    Args:
        shift: Hodges–Lehmann: the median of all differences between a scheme of one side and one of the other, in the unit
            of the outcome. A few collapsed networks do not carry it away as they do a difference of means.
        cliffs_delta: share of these pairs with the non-zero-stable scheme above − share with it below, from −1 to 1.
        p_value: Mann–Whitney's U, two-sided, on the means of the schemes; exact without ties for small sides.
    """

    shift: float | None
    shift_low: float | None
    shift_high: float | None
    cliffs_delta: float | None
    delta_low: float | None
    delta_high: float | None
    p_value: float | None
    non_zero_stable_schemes: int
    zero_stable_schemes: int


def effect_size(non_zero_stable: Floats, zero_stable: Floats, *, resamples: int = RESAMPLES, seed: int = 0) -> EffectSize:
    """Effect size of two sides with one value a scheme, intervals by a percentile bootstrap within each side.

    Where the sides do not overlap Cliff's delta is ±1 in every resample, and its interval is that point: it does not say
    how sure that is, the p-value does.
    """
    from scipy.stats import mannwhitneyu

    sides = len(non_zero_stable), len(zero_stable)
    if not all(sides):
        return EffectSize(None, None, None, None, None, None, None, *sides)
    differences = non_zero_stable[:, None] - zero_stable[None, :]
    p_value = float(mannwhitneyu(non_zero_stable, zero_stable).pvalue) if min(sides) >= 2 else None
    shift_low = shift_high = delta_low = delta_high = None
    if min(sides) >= FEWEST_A_SIDE:
        generator = np.random.default_rng(seed)
        rows, columns = (generator.integers(0, n, (resamples, n)) for n in sides)
        drawn = differences[rows[:, :, None], columns[:, None, :]]
        shift_low, shift_high = percentile_interval(np.median(drawn, axis=(1, 2)))
        delta_low, delta_high = percentile_interval(np.sign(drawn).mean(axis=(1, 2)))
    shift, delta = float(np.median(differences)), float(np.sign(differences).mean())
    return EffectSize(shift, shift_low, shift_high, delta, delta_low, delta_high, p_value, *sides)


def effect_sizes(outcomes: pd.DataFrame) -> pd.DataFrame:
    """One row an outcome: `outcome`, `kind` and the fields of `EffectSize`.

    A scheme's value is the mean over its depths of the means over seeds; networks without a verdict are left out.

    Args:
        outcomes: see `network_outcomes`.
    """
    known = [network_predictors(n, m) for n, m in zip(outcomes["network"], outcomes["moduli"], strict=True)]
    keys = pd.Series([None if k is None else k.scheme for k in known], outcomes.index, object)
    frame = outcomes.assign(cluster=keys).dropna(subset=["zero_stable"])
    frame = frame[frame["cluster"].notna()]
    rows = []
    for outcome, group in frame.groupby("outcome", sort=False):
        networks = group.groupby(["cluster", "network"], sort=False).agg(
            value=("value", "mean"), stable=("zero_stable", "first")
        )
        schemes = networks.groupby(level="cluster", sort=False).agg(value=("value", "mean"), stable=("stable", "first"))
        values = np.asarray([round_significant(v) for v in schemes["value"]], float)
        stable = schemes["stable"].astype(bool).to_numpy()
        found = effect_size(values[~stable], values[stable])
        rows.append({"outcome": outcome, "kind": group["kind"].iloc[0], **asdict(found)})
    columns = ["outcome", "kind", *EffectSize.__dataclass_fields__]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:9], float))
