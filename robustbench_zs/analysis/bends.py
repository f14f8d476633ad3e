"""Where an outcome turns in both halves of an atlas alike: ρ says only which way it goes on the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robustbench_zs.analysis.confirmation import CANDIDATES
from robustbench_zs.analysis.halves import AtlasHalf
from robustbench_zs.analysis.smooth import smooth, turning_point

NEAR = 0.1
"""Share of the schemes by which the bends of two halves may be apart."""


@dataclass(frozen=True)
class Bend:
    """The value of a predictor, in the half that is tested, at which an outcome turns, and whether it is highest there."""

    value: float
    peak: bool


def bends(halves: Sequence[AtlasHalf], outcome: str) -> dict[str, Bend]:
    """The candidates with which the outcome turns in both halves in one place; none where a half is missing."""
    found = {}
    for predictor in CANDIDATES if len(halves) == 2 else ():
        pairs = [half.against(predictor, outcome) for half in halves]
        turns = [turn for x, y in pairs if len(x) and (turn := turning_point(smooth(x, y)))]
        ranks, peaks = [rank for rank, _ in turns], [peak for _, peak in turns]
        if len(turns) == len(pairs) and len(set(peaks)) == 1 and max(ranks) - min(ranks) <= NEAR:
            found[predictor] = Bend(float(np.quantile(pairs[-1][0], ranks[-1])), peaks[-1])
    return found
