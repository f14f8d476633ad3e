"""A study from its file to its report: does only what is not in the store yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError

from robustbench_zs.analysis.images import ImageOutcomes, NetworkImages
from robustbench_zs.analysis.masking import MASKING_COLUMNS, masking_checks, masking_rows
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.evaluate import (
    DEFAULT_BATCH_SIZE,
    EvaluationTask,
    curve_row,
    evaluate_one,
    frame_of_rows,
    gap_row,
    remember,
    result_row,
)
from robustbench_zs.evaluation.masking import Evidence
from robustbench_zs.evaluation.outcomes import Outcomes
from robustbench_zs.evaluation.smallest_eps import Distances
from robustbench_zs.evaluation.store import DEFAULT_STORE, ResultKey, ResultsStore
from robustbench_zs.evaluation.subject import Subject
from robustbench_zs.evaluation.transfer import Shown, TransferTask, transfer_of, transfer_one, transfer_rows
from robustbench_zs.perturbations.attacks import Attack
from robustbench_zs.perturbations.native import Directions, faster_directions
from robustbench_zs.reporting.findings import Findings, StudyFacts
from robustbench_zs.reporting.report import write_examples, write_report
from robustbench_zs.reporting.sections import examples_of
from robustbench_zs.studies.collection import Collection
from robustbench_zs.studies.examples import make_examples
from robustbench_zs.studies.joint_report import write_joint_report
from robustbench_zs.studies.load import AnyStudy, load_study
from robustbench_zs.studies.measure import run_measurement
from robustbench_zs.studies.measurement import Measurement
from robustbench_zs.studies.plan import EvaluateStep, Plan, TransferStep, make_plan
from robustbench_zs.studies.study import Study
from robustbench_zs.system.locks import alone_in, is_locked
from robustbench_zs.system.workers import Job, run_jobs
from robustbench_zs.training.checkpoint import Checkpoint, Header, first_problem
from robustbench_zs.training.distributed import device_of_this_process, is_first, processes
from robustbench_zs.training.execution import Execution, choose_device, choose_execution
from robustbench_zs.training.loop import Epoch
from robustbench_zs.training.recipe import Precision
from robustbench_zs.training.task import TrainingTask
from robustbench_zs.training.train import remove_states, train_all, train_some, train_tasks
from robustbench_zs.training.trial import choose_executions, deal

OnEvent = Callable[[TrainingTask, Epoch | str], None]
"""Called with the network's task and an epoch of its training, or the label of an evaluation that is done."""


@dataclass(frozen=True)
class StudyResult:
    """What a study gave: one row a network and perturbation, one row a network with its gap, and the report's folder."""

    results: pd.DataFrame
    gaps: pd.DataFrame
    folder: Path
    trained: int
    evaluated: int


@dataclass(frozen=True)
class Known:
    """A trained network: from its file or, where that is gone, from the store; then `checkpoint` is None."""

    digest: str
    path: str
    header: Header
    checkpoint: Checkpoint | None


@dataclass(frozen=True)
class Status:
    """Which steps of a plan are still to be done, and what is known of the networks that are trained, by step."""

    untrained: tuple[EvaluateStep, ...]
    unevaluated: tuple[EvaluateStep, ...]
    known: dict[str, Known]
    unshown: tuple[TransferStep, ...] = ()

    @property
    def pending(self) -> bool:
        """Whether anything is still to be done."""
        return bool(self.untrained or self.unevaluated or self.unshown)


def run_study(
    study: str | Path | AnyStudy,
    *,
    scale: str | None = None,
    data_dir: str | Path | None = None,
    store: str | Path = DEFAULT_STORE,
    device: str | None = None,
    threads: int | None = None,
    workers: int = 1,
    batch_size: int = DEFAULT_BATCH_SIZE,
    on_start: Callable[[Study, Status], None] = lambda study, status: None,
    on_event: OnEvent = lambda task, event: None,
    say: Callable[[str], None] = lambda words: None,
) -> StudyResult:
    """Train what is missing, evaluate what is missing, write `reports/NAME/`; the function behind `zsbench run`.

    Each network is trained and evaluated by one job, so an interruption loses only what is in the works. In processes that
    `torchrun` started, each network is trained by all of them together; then the first evaluates and reports, and the
    others return empty frames.

    Args:
        study: a study, a TOML file, or the name of one.
        scale: a scaled-down form of it, `"smoke"` or `"small"`; see `load_study`.
        data_dir: folder that holds the datasets.
        device, threads, workers: as for `train`; networks of this study that are trained already decide device and
            threads for the rest, so that all are trained alike.
        on_start: called for each study with trainings with what is to be done.
        say: gets a sentence on how networks are trained, where that is chosen by a trial, and if another process is at
            work on the study, which is waited for.

    Raises:
        RequestError: the study or its data are not there or not right.
        UnfinishedError: out of memory or disk, or the store is locked.

    Examples:
        >>> result = zs.run_study("table10")  # computes roots, trains nothing
        >>> (result.folder / "report.md").exists()
        True
    """
    loaded = load_study(study, scale) if isinstance(study, (str, Path)) else study
    if isinstance(loaded, Measurement):
        return _measured(loaded, device, threads)
    known = ResultsStore(store)
    done = [
        complete(part, data_dir, known, device, threads, workers, batch_size, on_start, on_event, say)
        for part in loaded.parts
    ]
    return _together(loaded, [_report(part, known) for part in done])


def train_study(
    study: str | Path | AnyStudy,
    *,
    scale: str | None = None,
    data_dir: str | Path | None = None,
    store: str | Path = DEFAULT_STORE,
    device: str | None = None,
    threads: int | None = None,
    workers: int = 1,
    on_start: Callable[[Study, Status], None] = lambda study, status: None,
    on_event: OnEvent = lambda task, event: None,
    say: Callable[[str], None] = lambda words: None,
) -> list[Checkpoint]:
    """Train the networks of a study that have no checkpoint yet and evaluate nothing: `zsbench run --train-only`.

    `run_study` goes on from there, later or elsewhere. Arguments and errors as of `run_study`.

    Returns:
        The checkpoints, phase by phase in the order of the plan.

    Examples:
        >>> tiny = zs.Study(
        ...     name="tiny", schemes=["euler"], depths=[8], widths=[2, 2, 2], recipe={"epochs": 1},
        ...     dataset={"name": "digits", "train_examples": 20, "test_examples": 20},
        ... )
        >>> [checkpoint] = zs.train_study(tiny)
        >>> checkpoint.header.seed
        0
    """
    loaded = load_study(study, scale) if isinstance(study, (str, Path)) else study
    if isinstance(loaded, Measurement):
        raise RequestError(f"the study {loaded.name!r} trains nothing: run it without --train-only")
    known, device, made = ResultsStore(store), device_of_this_process(device), []
    for part in loaded.parts:
        plan = make_plan(settled(part, device, data_dir, known), data_dir)
        on_start(plan.study, plan_status(plan, known))
        steps = plan.evaluations
        missing = sum(step.task.existing() is None for step in steps)
        same = _execution(plan, max(1, missing), device, threads, workers).threads
        for places in _phases(steps):
            made += train_tasks([steps[i].task for i in places], device, same, workers, on_event, say)
    return made


def _measured(
    study: Measurement, device: str | None = None, threads: int | None = None, measure: bool = True
) -> StudyResult:
    folder = Path("reports") / study.name
    return StudyResult(run_measurement(study, folder, device, threads, measure), frame_of_rows([]), folder, 0, 0)


def _together(study: Study | Collection, done: list[StudyResult]) -> StudyResult:
    """The result of all parts; a collection gets its report here."""
    if isinstance(study, Study):
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


@dataclass(frozen=True)
class Completed:
    """A study whose networks are all trained and evaluated; `here` is whether this process is the one that goes on."""

    plan: Plan
    status: Status
    trained: int
    evaluated: int
    here: bool = True


def complete(
    study: Study,
    data_dir: str | Path | None,
    store: ResultsStore,
    device: str | None,
    threads: int | None,
    workers: int,
    batch_size: int,
    on_start: Callable[[Study, Status], None],
    on_event: OnEvent,
    say: Callable[[str], None] = lambda words: None,
) -> Completed:
    """Train and evaluate what is missing of a study; see `run_study`."""
    device = device_of_this_process(device)
    study = settled(study, device, data_dir, store)
    plan = make_plan(study, data_dir)
    status = plan_status(plan, store)
    with ExitStack() as stack:
        folder = Path(plan.evaluations[0].task.folder)
        # A run that was killed at its very end leaves its lock, though nothing is left to do.
        if (status.pending or is_locked(folder)) and is_first():
            stack.enter_context(alone_in(folder, say))
            status = plan_status(plan, store)  # another process may have been at work until now
        return _complete(plan, status, store, device, threads, workers, batch_size, on_start, on_event, say)


def _complete(
    plan: Plan,
    status: Status,
    store: ResultsStore,
    device: str | None,
    threads: int | None,
    workers: int,
    batch_size: int,
    on_start: Callable[[Study, Status], None],
    on_event: OnEvent,
    say: Callable[[str], None],
) -> Completed:
    on_start(plan.study, status)
    trained = len(status.untrained)
    todo = list({step.id: step for step in (*status.untrained, *status.unevaluated)}.values())
    with processes(device) as group:
        if group.size > 1:  # all of them train each network together; the first goes on alone
            untrained = group.agreed([step.task for step in status.untrained])
            execution = _execution(plan, len(untrained), device, threads, workers, group.size)
            train_all(untrained, execution, workers, group, on_event)
            if not group.first:
                return Completed(plan, status, trained, 0, here=False)
    if todo:
        execution = _execution(plan, len(todo), device, threads, workers)
        at_a_time = workers if execution.device == "cpu" else 1
        untaught = [step for step in todo if step.task.existing() is None]
        chosen = choose_executions([step.task for step in untaught], execution, at_a_time, say)
        taught = [step for step in todo if step.task.existing() is not None]
        dealt = [
            ([untaught[place[i]] for i in indices], how)
            for place in _phases(untaught)
            for indices, how in deal([untaught[i].task for i in place], [chosen[i] for i in place], at_a_time)
        ]
        dealt += [([step], execution) for step in taught]
        jobs = [Job(run_networks, (steps, how, str(store.path), batch_size)) for steps, how in dealt]
        for _ in run_jobs(jobs, at_a_time, lambda index, event: on_event(dealt[index][0][event[0]].task, event[1])):
            pass
        status = plan_status(plan, store)
    if status.unshown:
        execution = _execution(plan, len(status.unshown), device, threads, workers)
        shows = [
            Job(transfer_one, (_transfer_task(step, execution, str(store.path), batch_size),)) for step in status.unshown
        ]
        at_a_time = workers if execution.device == "cpu" else 1
        for _ in run_jobs(shows, at_a_time, lambda index, label: on_event(status.unshown[index].task, label)):
            pass
    remove_states(step.task for step in plan.evaluations)
    return Completed(plan, status, trained, len(todo) + len(status.unshown))


def _phases(steps: Sequence[EvaluateStep]) -> list[list[int]]:
    """Places of the steps of each phase, in its order."""
    phases = sorted({step.phase for step in steps})
    return [[i for i, step in enumerate(steps) if step.phase == phase] for phase in phases]


def _transfer_task(step: TransferStep, execution: Execution, store: str, batch_size: int) -> TransferTask:
    source, targets = step.task.existing(), [target.existing() for target in step.targets]
    assert source is not None
    return TransferTask(
        source=source,
        targets=tuple(target for target in targets if target is not None),
        attack=step.attack,
        dataset=step.task.dataset,
        data_dir=step.task.data_dir,
        train_examples=step.task.train_examples,
        test_examples=step.task.test_examples,
        image_size=step.task.image_size,
        store=store,
        batch_size=batch_size,
        device=execution.device,
        threads=execution.threads,
    )


def _report(done: Completed, store: ResultsStore) -> StudyResult:
    if not done.here:
        return StudyResult(frame_of_rows([]), frame_of_rows([]), done.plan.report.folder, done.trained, 0)
    return report_study(done.plan, store, done.status, done.trained, done.evaluated, show_examples=True)


def _execution(
    plan: Plan, networks: int, device: str | None, threads: int | None, workers: int, processes: int = 1
) -> Execution:
    """The choice made when the study began, if it can be used here; else one for now."""
    chosen = choose_execution(networks, device, threads, workers, processes)
    if threads is None:
        for step in plan.evaluations:
            checkpoint = step.task.existing()
            if checkpoint and checkpoint.header.execution.get("device") == chosen.device:
                return replace(chosen, threads=int(checkpoint.header.execution["threads"]))
    return chosen


def settled(study: Study, device: str | None, data_dir: str | Path | None, store: ResultsStore) -> Study:
    """The study with a precision and with directions: those that it states; else those most of it is known in; else the
    device's."""
    here = choose_device(device)
    if study.full_recipe().precision == "auto":
        first = study.full_recipe().for_device(str(here)).precision
        choices: list[Precision] = [first, "float32" if first == "bfloat16" else "bfloat16"]

        def networks(study: Study) -> int:
            return sum(_known(step.task, store) is not None for step in make_plan(study, data_dir).evaluations)

        study = max((study.with_precision(precision) for precision in choices), key=networks)  # the first, if equal
    if study.with_directions("float32").all_perturbations() == study.all_perturbations():
        return study
    shape = make_plan(study, data_dir).evaluations[0].task.load_dataset().test.shape
    faster = faster_directions(here, shape)
    orders: list[Directions] = [faster, "float32" if faster == "bfloat16" else "bfloat16"]

    def results(study: Study) -> int:
        steps = [(step, _known(step.task, store)) for step in make_plan(study, data_dir).evaluations]
        found = [stored_outcomes(step, known.digest, store).values() for step, known in steps if known]
        return sum(outcomes is not None for each in found for outcomes in each)

    return max((study.with_directions(directions) for directions in orders), key=results)


def run_networks(
    steps: Sequence[EvaluateStep],
    execution: Execution,
    store: str,
    batch_size: int,
    send: Callable[[tuple[int, Epoch | str]], None],
) -> None:
    """Train networks that are not trained yet, together, then do the evaluations of each that are not in the store.

    Args:
        send: gets the place of a network in `steps` with an epoch of its training or the label of an evaluation.
    """
    missing = [i for i, step in enumerate(steps) if step.task.existing() is None]
    if missing:
        train_some([steps[i].task for i in missing], execution, lambda event: send((missing[event[0]], event[1])))
    for index, step in enumerate(steps):
        checkpoint = step.task.existing()
        assert checkpoint is not None
        remember(ResultsStore(store), checkpoint)
        task = EvaluationTask(
            source=checkpoint,
            dataset=step.task.dataset,
            data_dir=step.task.data_dir,
            train_examples=step.task.train_examples,
            test_examples=step.task.test_examples,
            image_size=step.task.image_size,
            items=step.items,
            store=store,
            batch_size=batch_size,
            device=execution.device,
            threads=execution.threads,
            probe=step.probe,
            curve=step.curve,
        )
        evaluate_one(task, partial(_send, send, index))


def _send(send: Callable[[tuple[int, Epoch | str]], None], index: int, event: Epoch | str) -> None:
    send((index, event))


def plan_status(plan: Plan, store: ResultsStore) -> Status:
    """What of a plan is not done yet."""
    untrained: list[EvaluateStep] = []
    unevaluated: list[EvaluateStep] = []
    found: dict[str, Known] = {}
    for step in plan.evaluations:
        known = _known(step.task, store)
        if known is None:
            untrained.append(step)
            continue
        found[step.id] = known
        outcomes = stored_outcomes(step, known.digest, store).values()
        if None in outcomes or (step.curve and stored_distances(step, known.digest, store) is None):
            # Without the weights what is missing can only be had by training again.
            (unevaluated if known.checkpoint else untrained).append(step)
        elif step.probe and known.checkpoint and stored_evidence(step, known.digest, store) is None:
            unevaluated.append(step)
    steps = {step.task: step for step in plan.evaluations}
    unshown = []
    for transfer in plan.transfers:
        taking_part = [steps[task] for task in (transfer.task, *transfer.targets)]
        if any(step in untrained for step in taking_part):
            unshown.append(transfer)
        elif any(shown is None for shown in stored_transfers(transfer, steps, found, store)):
            unshown.append(transfer)
            # Without the weights what is missing can only be had by training again.
            untrained += [step for step in dict.fromkeys(taking_part) if found[step.id].checkpoint is None]
    return Status(tuple(untrained), tuple(unevaluated), found, tuple(unshown))


def stored_transfers(
    transfer: TransferStep, steps: Mapping[TrainingTask, EvaluateStep], known: Mapping[str, Known], store: ResultsStore
) -> list[Shown | None]:
    """What the store has of each target on the examples, in the order of the targets."""
    data = transfer.task.load_dataset().test
    perturbation = transfer_of(_subject(known[steps[transfer.task].id]), transfer.attack)
    found = []
    for task in transfer.targets:
        digest = known[steps[task].id].digest
        outcomes, clean = (store.get(ResultKey.of(digest, data.digest, "test", p, len(data))) for p in (perturbation, None))
        found.append(None if outcomes is None or clean is None else Shown(outcomes, clean))
    return found


def _subject(known: Known) -> Subject:
    return Subject.of_header(known.header, known.digest, known.path, _no_weights)  # nothing is computed here


def _known(task: TrainingTask, store: ResultsStore) -> Known | None:
    checkpoint = task.existing()
    if checkpoint is not None:
        remembered = store.checkpoint(task.key)
        if remembered is None or remembered[0] != checkpoint.digest:
            remember(store, checkpoint)  # the file decides; the store only stands in for it where it is gone
        return Known(checkpoint.digest, str(checkpoint.path), checkpoint.header, checkpoint)
    remembered = store.checkpoint(task.key)
    if remembered is None:
        return None
    digest, path, header = remembered
    try:
        return Known(digest, path, Header.model_validate_json(header), None)
    except ValidationError as error:
        raise RequestError(f"the results store {store.path} is damaged: {first_problem(error)}") from error


def stored_outcomes(step: EvaluateStep, digest: str, store: ResultsStore) -> dict[Any, Outcomes | None]:
    dataset = step.task.load_dataset()
    found = {}
    for split, perturbation in step.items:
        data = dataset.split(split)
        found[split, perturbation] = store.get(ResultKey.of(digest, data.digest, split, perturbation, len(data)))
    return found


def stored_distances(step: EvaluateStep, digest: str, store: ResultsStore) -> Distances | None:
    test = step.task.load_dataset().test
    return store.distances(step.curve.key(digest, test), len(test)) if step.curve else None


def stored_evidence(step: EvaluateStep, digest: str, store: ResultsStore) -> Evidence | None:
    return store.evidence(step.probe.key(digest, step.task.load_dataset().test)) if step.probe else None


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
    rows, gaps, curves, headers = [], [], [], []
    checks: list[dict[str, object]] = []
    correct: dict[str, npt.NDArray[np.bool_]] = {}
    images: dict[str, NetworkImages] = {}
    missing = 0
    for step in plan.evaluations:
        known = status.known.get(step.id)
        outcomes = stored_outcomes(step, known.digest, store) if known else dict.fromkeys(step.items)
        complete = {item: found for item, found in outcomes.items() if found is not None}
        distances = stored_distances(step, known.digest, store) if known else None
        lacking = len(outcomes) - len(complete) + (step.curve is not None and distances is None)
        missing += lacking
        if known is None or lacking:
            continue
        subject = _subject(known)
        headers.append(known.header)
        clean = complete["test", None]
        correct[step.id] = clean.correct
        under = {p.label: complete["test", p].correct for split, p in step.items if split == "test" and p is not None}
        images[known.digest] = NetworkImages(clean.correct, under, distances)
        name = step.task.load_dataset().name
        for split, perturbation in step.items:
            if split == "test":
                rows.append(result_row(subject, name, split, perturbation, complete[split, perturbation], clean))
        gaps.append(gap_row(subject, name, complete["train", None], clean))
        if step.curve and distances is not None:
            curves.append(curve_row(subject, name, clean, distances, step.curve))
        if step.probe:
            evidence = stored_evidence(step, known.digest, store)
            checks += masking_rows(subject.network, subject.seed, masking_checks(evidence) if evidence else [])
    transfers = []
    steps = {step.task: step for step in plan.evaluations}
    for transfer in plan.transfers if not missing else ():
        shown = stored_transfers(transfer, steps, status.known, store)
        missing += shown.count(None)
        subjects = [_subject(status.known[steps[task].id]) for task in (transfer.task, *transfer.targets)]
        there = [(subject, s) for subject, s in zip(subjects[1:], shown, strict=True) if s is not None]
        name = transfer.task.load_dataset().name
        transfers += transfer_rows(subjects[0], [t for t, _ in there], name, transfer.attack, [s for _, s in there])
    if missing:
        raise RequestError(
            f"{missing} results of the study {plan.study.name!r} are not in {store.path}: run `zsbench run` first"
        )
    folder = plan.report.folder
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
        requests={p.label: p.request for p in plan.study.all_perturbations()},
    )
    findings = Findings(
        folder,
        facts,
        results,
        gap_frame,
        masking=pd.DataFrame(checks, columns=MASKING_COLUMNS),
        transfers=frame_of_rows(transfers),
        curves=frame_of_rows(curves),
        images=_image_outcomes(plan.study, images),
    )
    if show_examples and examples_of(findings) is None:
        examples = make_examples(plan, status.known, correct)
        if examples:
            write_examples(folder, *examples)
    write_report(findings)
    return StudyResult(results, gap_frame, folder, trained, evaluated)


def _image_outcomes(study: Study, images: Mapping[str, NetworkImages]) -> ImageOutcomes:
    if study.curve is None:
        return ImageOutcomes(images)
    search = study.curve.search()
    attacks = [p for p in study.all_perturbations() if isinstance(p, Attack)]
    return ImageOutcomes(images, search.eps, frozenset(p.label for p in attacks if p.ball == search.norm))


def _no_weights() -> Any:
    raise RequestError("the weights of this network are not at hand")


def report(
    study: str | Path,
    *,
    scale: str | None = None,
    data_dir: str | Path | None = None,
    store: str | Path = DEFAULT_STORE,
) -> StudyResult:
    """The report of a study again, from the store alone; the function behind `zsbench report`.

    Raises:
        RequestError: no such study, no store, or results are missing.

    Examples:
        >>> result = zs.run_study("table10")
        >>> zs.report("table10").folder == result.folder
        True
    """
    loaded = load_study(study, scale)
    if isinstance(loaded, Measurement):
        return _measured(loaded, measure=False)
    if not Path(store).exists():
        raise RequestError(f"there is no results store {store}: run `zsbench run {study}` first")
    known = ResultsStore(store)
    plans = [make_plan(settled(part, None, data_dir, known), data_dir) for part in loaded.parts]
    return _together(loaded, [report_study(plan, known, plan_status(plan, known)) for plan in plans])
