"""Studies: the file, its plan, its execution on this machine."""

from robustbench_zs.studies.archive import pack, unpack
from robustbench_zs.studies.check import CheckResult, NoVerdictWarning, check, make_baseline
from robustbench_zs.studies.load import load_study
from robustbench_zs.studies.measurement import Measurement
from robustbench_zs.studies.plan import Plan, make_plan
from robustbench_zs.studies.run import report, run_study, train_study
from robustbench_zs.studies.schema import study_schema
from robustbench_zs.studies.several import report_together
from robustbench_zs.studies.study import Study
from robustbench_zs.studies.study_report import StudyResult, stored_findings

__all__ = [
    "CheckResult",
    "Measurement",
    "NoVerdictWarning",
    "Plan",
    "Study",
    "StudyResult",
    "check",
    "load_study",
    "make_baseline",
    "make_plan",
    "pack",
    "report",
    "report_together",
    "run_study",
    "stored_findings",
    "study_schema",
    "train_study",
    "unpack",
]
