"""What can be asked of a network, with a file per question."""

from robustbench_zs.evaluation.questions.accuracy import Accuracy
from robustbench_zs.evaluation.questions.masking import MaskingProbe
from robustbench_zs.evaluation.questions.question import Bench, Question
from robustbench_zs.evaluation.questions.smallest_eps import EpsSearch
from robustbench_zs.evaluation.questions.transfer import Transferred

__all__ = ["Accuracy", "Bench", "EpsSearch", "MaskingProbe", "Question", "Transferred"]
