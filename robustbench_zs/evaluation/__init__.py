"""Network × perturbation → one outcome per image, and the store that keeps them."""

from robustbench_zs.evaluation.corruption_error import corruptions, mean_corruption_error
from robustbench_zs.evaluation.evaluate import attack, evaluate, gap
from robustbench_zs.evaluation.expected import expected_accuracy
from robustbench_zs.evaluation.intervals import wilson_interval
from robustbench_zs.evaluation.model import Model
from robustbench_zs.evaluation.outcomes import NEAR_TIE, Outcomes, measure
from robustbench_zs.evaluation.robustness_curve import robustness_curve
from robustbench_zs.evaluation.saved import save_examples
from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.evaluation.subject import Subject
from robustbench_zs.evaluation.transfer import transfer_attack

__all__ = [
    "NEAR_TIE",
    "Model",
    "Outcomes",
    "ResultsStore",
    "Subject",
    "attack",
    "corruptions",
    "evaluate",
    "expected_accuracy",
    "gap",
    "mean_corruption_error",
    "measure",
    "robustness_curve",
    "save_examples",
    "transfer_attack",
    "wilson_interval",
]
