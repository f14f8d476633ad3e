"""Multistep schemes: coefficients, characteristic roots, the root condition, the paper's families. Needs no torch."""

from robustbench_zs.schemes.amplification import Amplification, amplification_over, companion_row_norms, impulse_response
from robustbench_zs.schemes.catalog import CATALOG_NAMES, catalog, scheme_from_name
from robustbench_zs.schemes.coefficients import Coefficient, CoefficientLike, format_coefficient, parse_coefficient
from robustbench_zs.schemes.families import (
    ONE_STEP_REGION,
    OPTIMAL_LAMBDA,
    THIRD_ORDER_REGION,
    TWO_STEP_REGION,
    ZeroStableRegion,
    one_step,
    third_order,
    two_step,
)
from robustbench_zs.schemes.gains import Gains, block_weights, gains_over, last_share
from robustbench_zs.schemes.scheme import MultistepScheme
from robustbench_zs.schemes.trainable import LM_ORIGINAL, ZEROSNET_TRA, TrainableScheme

__all__ = [
    "CATALOG_NAMES",
    "LM_ORIGINAL",
    "ONE_STEP_REGION",
    "OPTIMAL_LAMBDA",
    "THIRD_ORDER_REGION",
    "TWO_STEP_REGION",
    "ZEROSNET_TRA",
    "Amplification",
    "Coefficient",
    "CoefficientLike",
    "Gains",
    "MultistepScheme",
    "TrainableScheme",
    "ZeroStableRegion",
    "amplification_over",
    "block_weights",
    "catalog",
    "companion_row_norms",
    "format_coefficient",
    "gains_over",
    "impulse_response",
    "last_share",
    "one_step",
    "parse_coefficient",
    "scheme_from_name",
    "third_order",
    "two_step",
]
