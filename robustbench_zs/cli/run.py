"""`zsbench run`: a whole study."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robustbench_zs.cli.command import Command, execution_options, output_options
from robustbench_zs.cli.listing import emit_list
from robustbench_zs.cli.output import emit, text
from robustbench_zs.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd

    from robustbench_zs.studies import Study
    from robustbench_zs.studies.status import Status
    from robustbench_zs.training.loop import Epoch
    from robustbench_zs.training.task import TrainingTask

data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), metavar="DIR", help="Folder that holds cifar10/, mnist/, …"
)


scale_option = click.option(
    "--scale", type=click.Choice(["smoke", "small"]), help="A scaled-down form; its report goes to reports/NAME-SCALE/."
)


@click.command(cls=Command)
@click.argument("study", required=False)
@scale_option
@data_dir_option
@click.option("--train-only", is_flag=True, help="Train what is missing, as for a machine that evaluates nothing, and stop.")
@click.option("--plan", "plan_only", is_flag=True, help="Print what would be done and what waits for what; do nothing.")
@click.option("--batch-size", type=int, default=256, show_default=True, metavar="N", help="Of evaluations.")
@execution_options
@output_options
def run(
    study: str | None,
    scale: str | None,
    data_dir: Path | None,
    train_only: bool,
    plan_only: bool,
    batch_size: int,
    device: str | None,
    threads: int | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Train, evaluate and report a study: a TOML file, or a name such as digits.

    Does only what is not in the store (reports/results.sqlite) yet, and writes reports/NAME/.
    """
    from robustbench_zs.studies import load_study, make_plan, run_study, train_study
    from robustbench_zs.system.workers import available_cores

    if study is None:
        emit_list(("studies",))
        raise RequestError("say which study, one of those above, or a TOML file")
    loaded = load_study(study, scale)
    if plan_only:
        _print_plan([make_plan(part, data_dir).table() for part in loaded.parts], format_, output)
        return
    if format_ or output:
        raise RequestError("--format and --output go with --plan; a run writes its tables to reports/NAME/")
    from robustbench_zs.cli.progress import progress, say
    from robustbench_zs.training.distributed import is_first
    from robustbench_zs.training.loop import Epoch

    with progress(sum(part.size for part in loaded.parts)) as shown:

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
            "workers": available_cores(),
            "on_start": started,
            "on_event": event,
            "say": say,
        }
        if train_only:
            train_study(loaded, **how)
            return
        result = run_study(loaded, batch_size=batch_size, **how)
    if is_first():
        print_findings(result.folder)


def _print_plan(parts: list[pd.DataFrame], format_: str | None, output: Path | None) -> None:
    import pandas as pd

    if not parts:
        raise RequestError("this study trains nothing, so it has no plan: run it without --plan")
    emit(
        pd.concat(parts, ignore_index=True),
        {
            "Step": text("step"),
            "Evaluations": text("evaluations"),
            "Waits for": lambda row: row["needs"][0] if len(row["needs"]) == 1 else f"{len(row['needs'])} steps",
        },
        format_,
        output,
    )


def print_findings(folder: Path) -> None:
    """The answer of a report, and where the rest is."""
    report = (folder / "report.md").read_text(encoding="utf-8")
    answer = re.split(r"\n(?:!\[|## )", report.partition("\n")[2], maxsplit=1)[0].strip()
    click.echo(f"{answer}\n\nThe report: {folder / 'report.md'}\nAs a page:  {folder / 'index.html'}")
