"""Studies: the file, its plan, its execution on this machine."""

from robustbench_zs.studies.plan import Plan, make_plan
from robustbench_zs.studies.run import StudyResult, report, run_study
from robustbench_zs.studies.study import Study, load_study

__all__ = ["Plan", "Study", "StudyResult", "load_study", "make_plan", "report", "run_study"]
