"""`zsbench run`: a whole study."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robustbench_zs.cli.command import Command, data_dir_option, execution_options, output_options
from robustbench_zs.cli.listing import emit_list
from robustbench_zs.cli.output import Output, text
from robustbench_zs.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from robustbench_zs.studies.plan import Plan
    from robustbench_zs.studies.status import Status
    from robustbench_zs.studies.study import Study
    from robustbench_zs.training.loop import Epoch
    from robustbench_zs.training.task import TrainingTask

MAX_WORKERS = 100_000

scale_option = click.option(
    "--scale",
    type=click.Choice(["smoke", "small"]),
    help="Scaled-down form; its report goes to reports/NAME-SCALE/.",
)


@click.command(cls=Command)
@click.argument("study", required=False)
@scale_option
@data_dir_option
@click.option("--train-only", is_flag=True, help="Train the networks that are missing, and evaluate nothing.")
@click.option("--plan", "plan_only", is_flag=True, help="Print the steps, what each waits for and the cost; do nothing.")
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="What runs the jobs."
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="Ray cluster: auto, HOST:PORT or ray://HOST:10001; by default Ray is started here.",
)
@click.option(
    "--workers",
    type=int,
    metavar="N",
    help="Networks at a time on the CPU, by default one per core; with --plan, estimate the time on N workers.",
)
@click.option("--batch-size", type=int, default=256, show_default=True, metavar="N", help="Batch size of evaluations.")
@execution_options
@output_options
def run(
    study: str | None,
    scale: str | None,
    data_dir: Path | None,
    train_only: bool,
    plan_only: bool,
    engine: str,
    address: str | None,
    workers: int | None,
    batch_size: int,
    device: str | None,
    threads: int | None,
    output: Output,
) -> None:
    """Train, evaluate and report a study.

    STUDY is a TOML file or a name such as digits. Only what is not in the results store (reports/results.sqlite) yet is
    done, so run the same command again to resume a study. The report is written to reports/NAME/.
    """
    from robustbench_zs.studies.load import load_study
    from robustbench_zs.studies.plan import make_plan
    from robustbench_zs.studies.run import run_study, train_study
    from robustbench_zs.system.workers import available_cores

    if study is None:
        with redirect_stdout(sys.stderr):  # where a command fails, nothing is on its output
            emit_list(("studies",), Output())
        raise RequestError("give a study: one of those above, or a TOML file")
    loaded = load_study(study, scale)
    if workers is not None and not 1 <= workers <= MAX_WORKERS:
        raise RequestError(f"the number of workers must lie between 1 and {MAX_WORKERS}, not {workers}")
    if plan_only:
        plans = [make_plan(part, data_dir) for part in loaded.trainings()]
        _print_plan([plan.table() for plan in plans], output)
        _print_cost(plans, device, threads, workers or available_cores())
        return
    if engine == "ray" and workers is not None:
        raise RequestError("--workers requires --engine local or --plan: Ray itself decides how many jobs run at a time")
    if output != Output():
        raise RequestError("--format and --output require --plan: a run writes its tables to reports/NAME/")
    from robustbench_zs.cli.progress import progress, say
    from robustbench_zs.training.distributed import is_first
    from robustbench_zs.training.loop import Epoch

    with progress(loaded.size) as shown:

        def started(part: Study, status: Status) -> None:
            if is_first():
                say(
                    f"{part.name}: {part.size} networks, {len(status.untrained)} to train, "
                    f"{len(status.untrained) + len(status.unevaluated)} to evaluate"
                )
            shown.finished += part.size - len(status.untrained)

        def event(task: TrainingTask, what: Epoch | str) -> None:
            if isinstance(what, Epoch):
                shown.epoch(task, what)
            else:
                shown.evaluated(f"{task.network.name} seed {task.seed}", what)

        how: dict[str, Any] = {
            "data_dir": data_dir,
            "device": device,
            "threads": threads,
            "workers": workers or available_cores(),
            "engine": engine,
            "address": address,
            "on_start": started,
            "on_event": event,
            "on_standing": shown.standing,
            "say": say,
        }
        if train_only:
            train_study(loaded, **how)
            return
        result = run_study(loaded, batch_size=batch_size, **how)
    if is_first():
        print_findings(result.folder)


def _print_plan(parts: list[pd.DataFrame], output: Output) -> None:
    import pandas as pd

    output.emit(
        pd.concat(parts, ignore_index=True),
        {
            "Step": text("step"),
            "Evaluations": text("evaluations"),
            "Waits for": lambda row: row["needs"][0] if len(row["needs"]) == 1 else f"{len(row['needs'])} steps",
        },
    )


def _print_cost(plans: Sequence[Plan], device: str | None, threads: int | None, workers: int) -> None:
    """Print what the plans cost and how long the workers take, as two sentences on standard error."""
    from robustbench_zs.cli.progress import say
    from robustbench_zs.studies.cost import estimated
    from robustbench_zs.studies.engines.standing import duration
    from robustbench_zs.training.execution import choose_execution

    try:
        cost = estimated(plans, choose_execution(1, device, threads or 1, 1), workers)
    except RequestError as error:  # images that are not at hand do not keep anyone from looking at a plan
        say(f"The cost cannot be estimated: {error}")
        return
    say(
        f"The study takes at most {cost.hours:,.2g} {cost.unit} hours, {cost.undone:,.2g} of them for what is not done yet "
        f"({cost.speed.multiply_adds / 1e9:,.3g} billion multiply-adds/s in training: {cost.speed.origin})."
    )
    alone = duration(cost.undone * 3600)
    say(f"The work that is not done yet takes about {duration(cost.seconds)} on {workers} workers and {alone} on one.")


def print_findings(folder: Path) -> None:
    """Print the answer of a report and where the whole report is."""
    report = (folder / "report.md").read_text(encoding="utf-8")
    answer = re.split(r"\n(?:!\[|## )", report.partition("\n")[2], maxsplit=1)[0].strip()
    click.echo(f"{answer}\n\nThe report: {folder / 'report.md'}\nAs a page:  {folder / 'index.html'}")
