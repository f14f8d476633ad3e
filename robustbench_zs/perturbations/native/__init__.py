"""Our own engine: attacks that spend passes of the network only on images that are still classified correctly."""

from robustbench_zs.perturbations.base import Directions
from robustbench_zs.perturbations.native.budgets import WIDEST_RUNG, Budgets, Ladder
from robustbench_zs.perturbations.native.fab import FABRule, beyond_ties
from robustbench_zs.perturbations.native.in_turn import search_in_turn
from robustbench_zs.perturbations.native.losses import LOSSES, TARGETED_LOSSES
from robustbench_zs.perturbations.native.method import ChosenImages, Found, Images, Method
from robustbench_zs.perturbations.native.minimum_norm import minimum_norm
from robustbench_zs.perturbations.native.norms import NORMS
from robustbench_zs.perturbations.native.passes import SUSPECT, faster_directions, fooled_or_close, gradient_at
from robustbench_zs.perturbations.native.rules import PACE_ON, APGDRule, PGDRule, Rule
from robustbench_zs.perturbations.native.search import search
from robustbench_zs.perturbations.native.square import SquareL2, SquareLinf
from robustbench_zs.perturbations.native.targets import Nearest, One, Targets

__all__ = [
    "LOSSES",
    "NORMS",
    "PACE_ON",
    "SUSPECT",
    "TARGETED_LOSSES",
    "WIDEST_RUNG",
    "APGDRule",
    "Budgets",
    "ChosenImages",
    "Directions",
    "FABRule",
    "Found",
    "Images",
    "Ladder",
    "Method",
    "Nearest",
    "One",
    "PGDRule",
    "Rule",
    "SquareL2",
    "SquareLinf",
    "Targets",
    "beyond_ties",
    "faster_directions",
    "fooled_or_close",
    "gradient_at",
    "minimum_norm",
    "search",
    "search_in_turn",
]
