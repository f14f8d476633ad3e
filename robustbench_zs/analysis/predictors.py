"""Candidate predictors of a network's outcomes, computed from its scheme and its number of blocks alone."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from robustbench_zs.errors import RequestError
from robustbench_zs.networks.spec import network_from_name
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.schemes.amplification import amplification_over
from robustbench_zs.schemes.gains import gains_over, last_share

LARGEST_MODULUS = "largest_modulus"

PREDICTORS = {
    LARGEST_MODULUS: "largest modulus",
    "parasitic_modulus": "largest parasitic modulus",
    "outside": "distance outside the unit circle",
    "consistency_defect": "consistency defect",
    "impulse_supremum": "supremum of the impulse response",
    "effective_depth": "effective depth",
    "amplification": "amplification (eq. 6)",
    "log_modulus": "distance of the modulus from 1 (|log|)",
    "noise_gain": "noise gain",
    "response_norm": "1-norm of the impulse response",
    "dc_gain": "DC gain",
    "last_share": "share of the last block",
    "absolute_sum": "sum of |α|",
    "beta": "|β|",
    "starter_amplification": "starter amplification",
    "stage_supremum": "supremum over one stage",
    "stage_noise_gain": "noise gain over one stage",
    "stage_norm": "1-norm over one stage",
    "stage_dc_gain": "DC gain over one stage",
    "stage_starters": "starter amplification over one stage",
}
"""Column of each predictor → its name for people; the first is the one that the paper speaks of."""

MEANINGS = {
    LARGEST_MODULUS: "modulus of the farthest characteristic root; above 1, small errors grow from block to block",
    "parasitic_modulus": "modulus of the farthest root other than the principal one",
    "outside": "by how much the largest modulus exceeds 1; 0 if it does not",
    "consistency_defect": "|Σα − 1| + |β − required β|: how far the scheme is from approximating a differential equation",
    "impulse_supremum": "largest |g|, where g is what is left of a residual some blocks after it was added",
    "effective_depth": "share of the blocks whose residuals still count at the output",
    "amplification": "the most that a change of the initial states can grow to (the constant of the paper's equation 6)",
    "log_modulus": "|log| of the largest modulus: how strongly states grow or fade, in either direction",
    "noise_gain": "√Σg²: standard deviation of the output if every block adds independent noise of variance 1",
    "response_norm": "Σ|g|: the most that the output can change if every block changes by at most 1",
    "dc_gain": "|Σg|: how much the output changes if every block changes by 1",
    "last_share": "weight of the last block in the last state, as a share of all weights",
    "absolute_sum": "sum of the magnitudes of the coefficients α",
    "beta": "magnitude of the coefficient of the residual",
    "starter_amplification": "the most that a change of the image can grow to if all initial states share it",
    "stage_supremum": "supremum of the impulse response within the longest stage of the network",
    "stage_noise_gain": "noise gain within the longest stage",
    "stage_norm": "1-norm of the impulse response within the longest stage",
    "stage_dc_gain": "DC gain within the longest stage",
    "stage_starters": "starter amplification within the longest stage",
}
"""Column of each predictor → what it measures, for people; g is the impulse response over the blocks of the network."""

SIGNIFICANT_DIGITS = 9
"""Predictors that are equal to so many digits are ties: roots and powers come with rounding errors."""


@dataclass(frozen=True)
class NetworkPredictors:
    """The predictors of one network; `scheme` (its exact coefficients as text) and `cell` (all else that its name says) are
    what it shares with others."""

    scheme: str
    cell: Hashable
    values: dict[str, float | None]


def scheme_predictors(scheme: MultistepScheme, blocks: int, stage: int) -> dict[str, float | None]:
    """Each of `PREDICTORS`, rounded to 9 significant digits; None where it cannot be computed.

    Args:
        blocks, stage: number of residual blocks of the network and of its longest stage.

    The parasitic modulus of a one-step scheme, which has no parasitic root, is 0. The consistency defect is
    |Σ α_i − 1| + |β − required β|; None without β. For the gains see `schemes.gains`; of β only the magnitude counts,
    since the sign of a residual is learned.

    Raises:
        RequestError: fewer blocks than the order of the scheme.
    """
    sum_defect, beta_defect = scheme.consistency_defects
    over_blocks, over_stage = amplification_over(scheme, blocks), amplification_over(scheme, stage)
    gains, of_stage = gains_over(scheme, blocks), gains_over(scheme, stage)
    values: dict[str, float | None] = {
        LARGEST_MODULUS: scheme.largest_modulus,
        "parasitic_modulus": max(map(abs, scheme.parasitic_roots), default=0.0),
        # Rounded before 1 is taken away: moduli 1 and 1 + 1e-16 are a tie, and so are their distances.
        "outside": max(0.0, round_significant(scheme.largest_modulus) - 1),
        "consistency_defect": None if beta_defect is None else abs(float(sum_defect)) + abs(float(beta_defect)),
        "impulse_supremum": over_blocks.impulse_supremum,
        "effective_depth": over_blocks.effective_depth,
        "amplification": over_blocks.amplification,
        "log_modulus": abs(math.log(round_significant(scheme.largest_modulus))) if scheme.largest_modulus else None,
        "noise_gain": gains.noise_gain,
        "response_norm": gains.response_norm,
        "dc_gain": gains.dc_gain,
        "last_share": None if scheme.beta is None else last_share(scheme, blocks),
        "absolute_sum": sum(abs(float(a)) for a in scheme.alphas),
        "beta": None if scheme.beta is None else abs(float(scheme.beta)),
        "starter_amplification": gains.starter_amplification,
        "stage_supremum": over_stage.impulse_supremum,
        "stage_noise_gain": of_stage.noise_gain,
        "stage_norm": of_stage.response_norm,
        "stage_dc_gain": of_stage.dc_gain,
        "stage_starters": of_stage.starter_amplification,
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
    return NetworkPredictors(
        _coefficients(spec.fixed_scheme), cell, scheme_predictors(spec.fixed_scheme, spec.blocks, max(spec.stages))
    )


def _coefficients(scheme: MultistepScheme) -> str:
    """The same text for equal schemes alone, whatever their names and however their coefficients were given."""
    return " ".join("–" if c is None else str(Fraction(c)) for c in (*scheme.alphas, scheme.beta))
