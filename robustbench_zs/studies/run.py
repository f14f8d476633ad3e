"""A study from its file to its report: does only what is not in the store yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robustbench_zs.errors import UnfinishedError
from robustbench_zs.evaluation.rows import frame_of_rows
from robustbench_zs.evaluation.store import DEFAULT_STORE, ResultsStore
from robustbench_zs.studies.engines import Assignment, Engine, OnEvent, Standing, open_engine
from robustbench_zs.studies.load import load_study
from robustbench_zs.studies.measured_report import run_measurement
from robustbench_zs.studies.measurement import Measurement
from robustbench_zs.studies.options import RunOptions
from robustbench_zs.studies.plan import Plan, make_plan
from robustbench_zs.studies.settle import settled, stored_plans
from robustbench_zs.studies.status import Status, plan_status
from robustbench_zs.studies.study import Study
from robustbench_zs.studies.study_report import StudyResult, joined, report_study
from robustbench_zs.system.locks import alone_in, is_locked
from robustbench_zs.training.checkpoint import Checkpoint, read_checkpoint
from robustbench_zs.training.distributed import is_first
from robustbench_zs.training.execution import DEFAULT_BATCH_SIZE, Compute
from robustbench_zs.training.train import remove_states


def run_study(
    study: str | Path | Study,
    *,
    scale: str | None = None,
    data_dir: str | Path | None = None,
    store: str | Path = DEFAULT_STORE,
    device: str | None = None,
    threads: int | None = None,
    workers: int = 1,
    engine: str = "local",
    address: str | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    on_start: Callable[[Study, Status], None] = lambda study, status: None,
    on_event: OnEvent = lambda task, event: None,
    on_standing: Callable[[Standing], None] = lambda standing: None,
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
        engine, address: `"local"`, or `"ray"` with the address of a cluster, see `RayEngine`; that says itself how many
            jobs run at a time.
        on_start: called for each study with trainings with what is to be done.
        on_standing: called with how far the study is, by the engine ray.
        say: gets a sentence on how networks are trained, where that is chosen by a trial, on jobs that failed, and if
            another process is at work on the study, which is waited for.

    Raises:
        RequestError: the study or its data are missing or invalid.
        UnfinishedError: memory or disk ran out, the store is locked, or jobs failed; all other jobs are done then.

    Examples:
        >>> result = zs.run_study("table10")  # computes roots, trains nothing
        >>> (result.folder / "report.md").exists()
        True
    """
    options = RunOptions(
        scale=scale,
        data_dir=data_dir,
        store=store,
        device=device,
        threads=threads,
        workers=workers,
        engine=engine,
        address=address,
        batch_size=batch_size,
        on_start=on_start,
        on_event=on_event,
        on_standing=on_standing,
        say=say,
    )
    loaded = options.load(study)
    if loaded.measured:
        return _measured(loaded, loaded.measured, options.compute)
    known, parts = ResultsStore(store), loaded.trainings()
    with open_engine(engine, options.compute, address) as doing:
        done = [complete(part, known, doing, options) for part in parts]
    reports = [_report(part, known) for part in done if not part.given_up]
    _raise_if_any([sentence for part in done for sentence in part.given_up])
    return joined(loaded, reports)


def train_study(study: str | Path | Study, **options: Any) -> list[Checkpoint]:
    """Train the networks of a study that have no checkpoint yet and evaluate nothing: `zsbench run --train-only`.

    `run_study` continues from there, later or elsewhere. Options and errors are those of `run_study`.

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
    asked = RunOptions(**options)
    parts = asked.load(study).trainings()
    known, plans, given_up = ResultsStore(asked.store), [], []
    with open_engine(asked.engine, asked.compute, asked.address) as doing:
        for part in parts:
            plan = make_plan(settled(part, doing.device, asked.data_dir, known), asked.data_dir)
            assignment = Assignment(plan, known, asked.batch_size, asked.events)
            asked.on_start(plan.study, plan_status(plan, known))
            with ExitStack() as stack:
                if is_first() and any(step.task.existing() is None for step in plan.evaluations):
                    stack.enter_context(alone_in(plan.folder, asked.say))
                missing = [step.training_only() for step in plan.evaluations if step.task.existing() is None]
                given_up += doing.networks(missing, assignment)
                _remove_states(plan)
            plans.append(plan)
    _raise_if_any(given_up)
    return [read_checkpoint(step.task.path) for plan in plans for step in plan.evaluations] if is_first() else []


def _raise_if_any(given_up: Sequence[str]) -> None:
    if given_up:
        raise UnfinishedError(
            f"{len(given_up)} of the jobs failed, the first with {given_up[0]}; run the study again to try them again"
        )


def _remove_states(plan: Plan) -> None:
    """Of networks that are trained; what was saved of others is where the next run goes on from."""
    if is_first():
        remove_states(step.task for step in plan.evaluations if step.task.existing())


def _measured(study: Study, asked: Measurement, compute: Compute | None) -> StudyResult:
    folder = Path("reports") / study.name
    return StudyResult(run_measurement(study, asked, folder, compute), frame_of_rows([]), folder, 0, 0)


@dataclass(frozen=True)
class Completed:
    """A study whose networks are trained and evaluated, but for jobs that were given up, with a sentence for each."""

    plan: Plan
    status: Status
    trained: int
    evaluated: int
    given_up: Sequence[str] = ()


def complete(study: Study, store: ResultsStore, engine: Engine, options: RunOptions) -> Completed:
    """Have an engine train and evaluate what is missing of a study; see `run_study`."""
    plan = make_plan(settled(study, engine.device, options.data_dir, store), options.data_dir)
    assignment = Assignment(plan, store, options.batch_size, options.events)
    status = plan_status(plan, store)
    with ExitStack() as stack:
        # A run that was killed at its very end leaves its lock, though nothing is left to do.
        if (status.pending or is_locked(plan.folder)) and is_first():
            stack.enter_context(alone_in(plan.folder, options.say))
            status = plan_status(plan, store)  # another process may have been at work until now
        options.on_start(plan.study, status)
        trained, todo = len(status.untrained), status.todo
        given_up = engine.networks(todo, assignment)
        if not is_first():  # the others of `torchrun` only train
            return Completed(plan, status, trained, 0)
        if todo:
            status = plan_status(plan, store)
        unshown = status.unshown
        if unshown and not given_up:
            given_up = engine.transfers(unshown, assignment)
            status = plan_status(plan, store)
        _remove_states(plan)
        return Completed(plan, status, trained, len(todo) + len(unshown), given_up)


def _report(done: Completed, store: ResultsStore) -> StudyResult:
    if not is_first():
        return StudyResult(frame_of_rows([]), frame_of_rows([]), done.plan.report.folder, done.trained, 0)
    return report_study(done.plan, store, done.status, done.trained, done.evaluated, show_examples=True)


def report(
    study: str | Path,
    *,
    scale: str | None = None,
    data_dir: str | Path | None = None,
    store: str | Path = DEFAULT_STORE,
) -> StudyResult:
    """Write the report of a study again, from the store alone; the function behind `zsbench report`.

    Raises:
        RequestError: there is no such study or no store, or results are missing.

    Examples:
        >>> result = zs.run_study("table10")
        >>> zs.report("table10").folder == result.folder
        True
    """
    loaded = load_study(study, scale)
    if loaded.measured:
        return _measured(loaded, loaded.measured, None)
    known, plans = stored_plans(loaded, study, data_dir, store)
    return joined(loaded, [report_study(plan, known, plan_status(plan, known)) for plan in plans])
