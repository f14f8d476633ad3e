"""Our own engine: gradient attacks that spend steps only on images that are still classified rightly."""

from robustbench_zs.perturbations.native.budgets import WIDEST_RUNG, Budgets, Ladder
from robustbench_zs.perturbations.native.losses import LOSSES
from robustbench_zs.perturbations.native.minimum_norm import minimum_norm
from robustbench_zs.perturbations.native.norms import NORMS
from robustbench_zs.perturbations.native.passes import SUSPECT, Directions, faster_directions, fooled_or_close, gradient_at
from robustbench_zs.perturbations.native.rules import PACE_ON, APGDRule, PGDRule, Rule
from robustbench_zs.perturbations.native.search import (
    Found,
    Images,
    Method,
    search,
)

__all__ = [
    "LOSSES",
    "NORMS",
    "PACE_ON",
    "SUSPECT",
    "WIDEST_RUNG",
    "APGDRule",
    "Budgets",
    "Directions",
    "Found",
    "Images",
    "Ladder",
    "Method",
    "PGDRule",
    "Rule",
    "faster_directions",
    "fooled_or_close",
    "gradient_at",
    "minimum_norm",
    "search",
]
