"""What might predict how a network does, from its scheme and its number of blocks alone."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from robustbench_zs.errors import RequestError
from robustbench_zs.networks.spec import network_from_name
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.schemes.amplification import amplification_over

LARGEST_MODULUS = "largest_modulus"

PREDICTORS = {
    LARGEST_MODULUS: "largest modulus",
    "parasitic_modulus": "largest parasitic modulus",
    "outside": "distance outside the unit circle",
    "consistency_defect": "consistency defect",
    "impulse_supremum": "supremum of the impulse response",
    "effective_depth": "effective depth",
    "amplification": "amplification (eq. 6)",
}
"""Column of each predictor → its name for people; the first is the one that the paper speaks of."""

SIGNIFICANT_DIGITS = 9
"""Predictors that are equal to so many digits are ties: roots and powers come with rounding errors."""


@dataclass(frozen=True)
class NetworkPredictors:
    """The predictors of one network; `scheme` (its exact coefficients as text) and `cell` (all else that its name says) are
    what it shares with others."""

    scheme: str
    cell: Hashable
    values: dict[str, float | None]


def scheme_predictors(scheme: MultistepScheme, blocks: int) -> dict[str, float | None]:
    """Each of `PREDICTORS`, rounded to 9 significant digits; None where it cannot be computed.

    The parasitic modulus of a one-step scheme, which has no parasitic root, is 0. The consistency defect is
    |Σ α_i − 1| + |β − required β|; None without β.

    Raises:
        RequestError: fewer than one block.
    """
    sum_defect, beta_defect = scheme.consistency_defects
    over_blocks = amplification_over(scheme, blocks)
    values: dict[str, float | None] = {
        LARGEST_MODULUS: scheme.largest_modulus,
        "parasitic_modulus": max(map(abs, scheme.parasitic_roots), default=0.0),
        # Rounded before 1 is taken away: moduli 1 and 1 + 1e-16 are a tie, and so are their distances.
        "outside": max(0.0, round_significant(scheme.largest_modulus) - 1),
        "consistency_defect": None if beta_defect is None else abs(float(sum_defect)) + abs(float(beta_defect)),
        "impulse_supremum": over_blocks.impulse_supremum,
        "effective_depth": over_blocks.effective_depth,
        "amplification": over_blocks.amplification,
    }
    return {name: None if value is None else round_significant(value) for name, value in values.items()}


def round_significant(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def network_predictors(network: str, moduli: list[float] | None) -> NetworkPredictors | None:
    """The predictors of a network by its name in a row of results.

    None where the scheme is unknown (`moduli` is None). Where the name is none of `network_from_name`, only the largest
    modulus is known.
    """
    if not moduli:
        return None
    known = _of_name(network)
    if known is not None:
        return known
    values: dict[str, float | None] = dict.fromkeys(PREDICTORS)
    return NetworkPredictors(network, network, values | {LARGEST_MODULUS: round_significant(max(moduli))})


@cache
def _of_name(network: str) -> NetworkPredictors | None:
    try:
        spec = network_from_name(network)
    except RequestError:
        return None
    if spec.fixed_scheme is None:
        return None
    cell = (spec.depth, spec.block, spec.widths, spec.form, spec.projection)
    return NetworkPredictors(_coefficients(spec.fixed_scheme), cell, scheme_predictors(spec.fixed_scheme, spec.blocks))


def _coefficients(scheme: MultistepScheme) -> str:
    """The same text for equal schemes alone, whatever their names and however their coefficients were given."""
    return " ".join("–" if c is None else str(Fraction(c)) for c in (*scheme.alphas, scheme.beta))
