"""Network × perturbation → one outcome per image, and the store that keeps them."""

from robustbench_zs.evaluation.evaluate import attack, evaluate, gap
from robustbench_zs.evaluation.intervals import wilson_interval
from robustbench_zs.evaluation.model import Model
from robustbench_zs.evaluation.outcomes import NEAR_TIE, Outcomes, measure
from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.evaluation.subject import Subject

__all__ = [
    "NEAR_TIE",
    "Model",
    "Outcomes",
    "ResultsStore",
    "Subject",
    "attack",
    "evaluate",
    "gap",
    "measure",
    "wilson_interval",
]
