"""`zsbench check` and `zsbench baseline`: the gate for continuous integration."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, Literal

import click

from robustbench_zs.cli.command import (
    OUTPUT_FILE,
    Command,
    data_dir_option,
    execution_options,
    model_options,
    output_options,
    stacked,
    take_own_models,
)
from robustbench_zs.cli.output import Output
from robustbench_zs.cli.run import scale_option
from robustbench_zs.errors import RequestError
from robustbench_zs.system.files import write_atomically

REGRESSION = 1

study_arguments = stacked(
    click.argument("study"),
    scale_option,
    data_dir_option,
    model_options,
    click.option("--batch-size", type=int, default=256, show_default=True, metavar="N", help="Batch size of evaluations."),
    execution_options,
)


@click.command(cls=Command)
@study_arguments
@click.option("--out", type=OUTPUT_FILE, required=True, metavar="FILE", help="Write the baseline to FILE.")
def baseline(study: str, out: Path, **options: Any) -> None:
    """Record the outcomes of a study as a baseline.

    Later runs are compared with it by `zsbench check`. The file contains every outcome, image by image, and every setting;
    keep it in git.
    """
    from robustbench_zs.studies.check import make_baseline

    made = make_baseline(study, out, models=take_own_models(options), **_options(options))
    click.echo(f"{out}: {len(made.entries)} networks, {len(made.entries[0].correct)} kinds of images")


@click.command(cls=Command)
@study_arguments
@click.option("--baseline", "baseline_file", type=click.Path(path_type=Path), required=True, metavar="FILE")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Significance level of all comparisons together.")
@click.option("--min-drop", type=float, default=1.0, show_default=True, metavar="POINTS", help="Smallest drop that counts.")
@click.option(
    "--about",
    type=click.Choice(["recipe", "weights"]),
    help="Whether the check is about the recipe (default) or these weights (default with --model).",
)
@click.option("--strict", is_flag=True, help="Exit 2 if a single retrained seed gives no verdict and nothing got worse.")
@click.option("--junit", type=OUTPUT_FILE, metavar="FILE", help="Write JUnit XML, one test case per comparison, to FILE.")
@output_options
def check(
    study: str,
    baseline_file: Path,
    alpha: float,
    min_drop: float,
    about: Literal["recipe", "weights"] | None,
    strict: bool,
    junit: Path | None,
    output: Output,
    **options: Any,
) -> None:
    """Compare a study with its baseline; exit 1 on a regression.

    \b
    zsbench baseline digits --out baselines/digits.json
    zsbench check digits --baseline baselines/digits.json
    """
    from robustbench_zs.cli.progress import say
    from robustbench_zs.gate import Rule
    from robustbench_zs.gate import rendering as render
    from robustbench_zs.studies.check import NoVerdictWarning
    from robustbench_zs.studies.check import check as check_study

    rule = Rule(alpha, min_drop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoVerdictWarning)  # it is said below
        found = check_study(
            study, baseline_file, models=take_own_models(options), rule=rule, about=about, **_options(options)
        )
    if junit is not None:
        write_atomically(junit, render.junit_xml(found.study, found.comparisons))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in render.github_annotations(found.comparisons):
            click.echo(line, err=True)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            with open(summary, "a", encoding="utf-8") as file:
                file.write(render.markdown_summary(found.study, found.comparisons, rule))
    output.emit(found.table(), render.COLUMNS)
    for line in render.what_was_compared(found.comparisons, rule):
        say(line)
    regressions = [c for c in found.comparisons if c.verdict == "regression"]
    for comparison in regressions:
        say(f"regression: {render.sentence(comparison)}")
    if regressions:
        raise click.exceptions.Exit(REGRESSION)
    if strict and found.no_verdict:
        raise RequestError("--strict requires a verdict on every network: see above for those that have none")


def _options(options: dict[str, Any]) -> dict[str, Any]:
    from robustbench_zs.system.workers import available_cores

    return {**options, "workers": available_cores()}
