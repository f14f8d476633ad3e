"""The report of a study from the store."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from robustbench_zs.analysis.images import ImageOutcomes, NetworkImages
from robustbench_zs.analysis.masking import MASKING_COLUMNS, masking_checks, masking_rows
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.questions import Accuracy, EpsSearch, MaskingProbe
from robustbench_zs.evaluation.rows import curve_row, frame_of_rows, gap_row, result_row
from robustbench_zs.evaluation.store import DEFAULT_STORE, ResultsStore
from robustbench_zs.evaluation.transfer import transfer_rows
from robustbench_zs.perturbations.attacks import Attack
from robustbench_zs.reporting.commands import command_of
from robustbench_zs.reporting.findings import Control, Findings, StudyFacts
from robustbench_zs.reporting.network_sections import examples_of
from robustbench_zs.reporting.report import write_examples, write_report
from robustbench_zs.studies.examples import make_examples
from robustbench_zs.studies.joint_report import write_joint_report
from robustbench_zs.studies.load import load_study
from robustbench_zs.studies.plan import Plan
from robustbench_zs.studies.settle import stored_plans
from robustbench_zs.studies.status import Answers, Status, plan_status, subject_of
from robustbench_zs.studies.study import Study
from robustbench_zs.training.distributed import is_first


@dataclass(frozen=True)
class StudyResult:
    """The results of a study: rows per network and perturbation, rows per network with gaps, the report's folder."""

    results: pd.DataFrame
    gaps: pd.DataFrame
    folder: Path
    trained: int
    evaluated: int


def report_study(
    plan: Plan,
    store: ResultsStore,
    status: Status,
    trained: int = 0,
    evaluated: int = 0,
    show_examples: bool = False,
) -> StudyResult:
    """Write the report from the store, computing nothing but, with `show_examples`, pictures of a few perturbed images.

    Raises:
        RequestError: results are missing; the sentence says how many and what to do.
    """
    findings = replace(findings_of(plan, store, status), controls=_controls(plan, store))
    if show_examples and examples_of(findings) is None:
        assert findings.images
        images = findings.images.networks
        correct = {step.id: images[status.known[step.id].digest].clean for step in plan.evaluations}
        examples = make_examples(plan, status.known, correct)
        if examples:
            write_examples(findings.folder, *examples)
    write_report(findings)
    return StudyResult(findings.results, findings.gaps, findings.folder, trained, evaluated)


def findings_of(plan: Plan, store: ResultsStore, status: Status) -> Findings:
    """Everything that the store has of a study.

    Raises:
        RequestError: as `report_study`.
    """
    rows, gaps, curves, headers = [], [], [], []
    checks: list[dict[str, object]] = []
    images: dict[str, NetworkImages] = {}
    missing = 0
    for step in plan.evaluations:
        known = status.known.get(step.id)
        answers: Answers = status.answers.get(step.id) or dict.fromkeys(step.questions)
        lacking = sum(question.required and answer is None for question, answer in answers.items())
        missing += lacking
        if known is None or lacking:
            continue
        subject, name = subject_of(known), step.task.load_dataset().name
        headers.append(known.header)
        clean = answers[Accuracy()]
        under: dict[str, npt.NDArray[np.bool_]] = {}
        distances = None
        for question, answer in answers.items():
            if isinstance(question, Accuracy) and question.split == "test":
                rows.append(result_row(subject, name, "test", question.perturbation, answer, clean))
                under |= {question.label: answer.correct} if question.perturbation else {}
            elif isinstance(question, EpsSearch):
                distances = answer
                curves.append(curve_row(subject, name, clean, answer, question))
            elif isinstance(question, MaskingProbe):
                checks += masking_rows(subject.network, subject.seed, masking_checks(answer) if answer else [])
        gaps.append(gap_row(subject, name, answers[Accuracy(split="train")], clean))
        images[known.digest] = NetworkImages(clean.correct, under, distances)
    transfers = []
    steps = {step.task: step for step in plan.evaluations}
    for transfer in plan.transfers if not missing else ():
        shown = status.shown[transfer.id]
        missing += shown.count(None)
        subjects = [subject_of(status.known[steps[task].id]) for task in (transfer.task, *transfer.targets)]
        there = [(subject, s) for subject, s in zip(subjects[1:], shown, strict=True) if s is not None]
        name = transfer.task.load_dataset().name
        transfers += transfer_rows(subjects[0], [t for t, _ in there], name, transfer.attack, [s for _, s in there])
    if missing:
        raise RequestError(
            f"{missing} results of the study {plan.study.name!r} are not in {store.path}: run "
            f"`zsbench run {plan.study.request}` first"
        )
    results, gap_frame = frame_of_rows(rows), frame_of_rows(gaps)
    facts = StudyFacts(
        name=plan.study.name,
        title=plan.study.title,
        recipe=plan.study.full_recipe().as_dict(),
        headers=headers,
        engine=plan.study.engine,
        again=plan.study.request or plan.study.name,
        note=plan.study.note,
        scaled=plan.study.scaled,
        paper=plan.study.paper,
        paper_networks=plan.study.paper_networks(),
        requests={p.label: command_of(p) for p in plan.study.all_perturbations()},
        atlas=plan.study.atlas is not None,
    )
    return Findings(
        plan.report.folder,
        facts,
        results,
        gap_frame,
        masking=pd.DataFrame(checks, columns=MASKING_COLUMNS),
        transfers=frame_of_rows(transfers),
        curves=frame_of_rows(curves),
        images=_image_outcomes(plan.study, images),
    )


def stored_findings(
    study: str | Path | Study,
    *,
    scale: str | None = None,
    data_dir: str | Path | None = None,
    store: str | Path = DEFAULT_STORE,
) -> list[Findings]:
    """Everything that the store has of a study, one for each of its parts.

    Raises:
        RequestError: no such study, one that trains nothing, no store, or results are missing.
    """
    loaded = study if isinstance(study, Study) else load_study(study, scale)
    asked = loaded.name if isinstance(study, Study) else study
    known, plans = stored_plans(loaded, asked, data_dir, store)
    return [findings_of(plan, known, plan_status(plan, known)) for plan in plans]


def _controls(plan: Plan, store: ResultsStore) -> list[Control]:
    """What the store has of the study's controls; one that is not finished is left out.

    Raises:
        RequestError: there is no such study.
    """
    found = []
    own, task = plan.study.full_recipe().as_dict(), plan.evaluations[0].task
    for part in (part for name in plan.study.controls for part in load_study(name).trainings()):
        with suppress(RequestError):
            [findings] = stored_findings(part, data_dir=task.data_dir, store=store.path)
            changes = {key: value for key, value in findings.facts.recipe.items() if value != own[key]}
            found.append(Control(findings.facts.name, changes, findings.results, findings.gaps))
    return found


def _image_outcomes(study: Study, images: Mapping[str, NetworkImages]) -> ImageOutcomes:
    if study.curve is None:
        return ImageOutcomes(images)
    search = study.curve.search()
    attacks = [p for p in study.all_perturbations() if isinstance(p, Attack)]
    return ImageOutcomes(images, search.eps, frozenset(p.label for p in attacks if p.ball == search.norm))


def joined(study: Study, done: list[StudyResult]) -> StudyResult:
    """The result of a study with trainings; one of several parts gets its joint report here."""
    if not study.parts:
        return done[0]
    folder = Path("reports") / study.name
    if is_first():
        write_joint_report(study, folder, [part.results for part in done], [part.gaps for part in done])
    return StudyResult(
        pd.concat([part.results for part in done], ignore_index=True),
        pd.concat([part.gaps for part in done], ignore_index=True),
        folder,
        sum(part.trained for part in done),
        sum(part.evaluated for part in done),
    )
