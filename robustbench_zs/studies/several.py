"""Reports on several studies together, from the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.store import DEFAULT_STORE
from robustbench_zs.reporting.across import write_joint_findings
from robustbench_zs.studies.study_report import stored_findings


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
