"""Who does the work of a study: processes of this machine."""

from robustbench_zs.studies.engines.engine import Assignment, Engine, OnEvent
from robustbench_zs.studies.engines.local import LocalEngine

__all__ = ["Assignment", "Engine", "LocalEngine", "OnEvent"]
