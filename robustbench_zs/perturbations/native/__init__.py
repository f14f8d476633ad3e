"""Our own engine: gradient attacks that spend steps only on images that are still classified rightly."""

from robustbench_zs.perturbations.native.budgets import WIDEST_RUNG, Bisection, Budgets, Ladder
from robustbench_zs.perturbations.native.losses import LOSSES
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
    "Bisection",
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
    "search",
]
