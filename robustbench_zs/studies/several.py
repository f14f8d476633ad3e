"""Reports on several studies together, from the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.store import DEFAULT_STORE
from robustbench_zs.reporting.across import write_joint_findings
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.studies.load import load_study
from robustbench_zs.studies.settle import stored_plans
from robustbench_zs.studies.status import plan_status
from robustbench_zs.studies.study_report import findings_of


def report_together(
    studies: Sequence[str | Path],
    *,
    scale: str | None = None,
    data_dir: str | Path | None = None,
    store: str | Path = DEFAULT_STORE,
) -> Path:
    """Write `reports/A+B/` on studies A and B, which are finished; the function behind `zsbench report A B`.

    Raises:
        RequestError: no such study, a study without schemes or named twice, no store, or results are missing.
    """
    found = [
        findings for study in studies for findings in stored_findings(study, scale=scale, data_dir=data_dir, store=store)
    ]
    names = [findings.facts.name for findings in found]
    if len(set(names)) < len(names):
        raise RequestError(f"give each study only once, not {', '.join(names)}")
    folder = Path("reports") / "+".join(names)
    write_joint_findings(folder, found)
    return folder


def stored_findings(
    study: str | Path, *, scale: str | None = None, data_dir: str | Path | None = None, store: str | Path = DEFAULT_STORE
) -> list[Findings]:
    """What the store has of a study, one for each of its parts.

    Raises:
        RequestError: no such study, one that trains nothing, no store, or results are missing.
    """
    known, plans = stored_plans(load_study(study, scale), study, data_dir, store)
    return [findings_of(plan, known, plan_status(plan, known)) for plan in plans]
