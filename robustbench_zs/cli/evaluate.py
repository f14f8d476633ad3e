"""`zsbench evaluate`: accuracy on clean and noisy images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robustbench_zs.cli.answers import Answer, answer
from robustbench_zs.cli.command import (
    PICTURE_FILE,
    ChosenNetworks,
    checkpoint_arguments,
    eot_option,
    output_options,
)
from robustbench_zs.cli.declared import Declared, DeclaringCommand
from robustbench_zs.cli.output import NETWORK, Output, number, text, with_interval
from robustbench_zs.cli.progress import say
from robustbench_zs.errors import RequestError
from robustbench_zs.system.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from robustbench_zs.perturbations import Perturbation


@click.command(cls=DeclaringCommand)
@checkpoint_arguments
@click.option("--noise", cls=Declared, registry="NOISES", help="Kind of noise; without it, images are clean.")
@eot_option
@click.option("--plot", type=PICTURE_FILE, metavar="FILE", help="Draw the accuracies of all networks as PNG, SVG or PDF.")
@output_options
def evaluate(
    chosen: ChosenNetworks,
    noise: str | None,
    eot: int | None,
    plot: Path | None,
    output: Output,
    **parameters: Any,
) -> None:
    """Measure accuracy on test images, clean or noisy.

    Without CHECKPOINT, all checkpoints below checkpoints/ are evaluated or, if there are none, those of the zoo for
    --dataset. Noise is added to images in [0, 1], which are then clipped.

    \b
    zsbench evaluate --noise gaussian --delta 0.02
    zsbench evaluate --noise uniform --low -0.08 --high 0
    zsbench evaluate --noise constant --mu 0.3
    """

    def compute() -> pd.DataFrame:
        said = {name: value for name, value in parameters.items() if value is not None}
        perturbations = _noise(noise, said)
        if eot is not None:
            return over_draws(chosen, perturbations, eot, said.get("seed"))
        from robustbench_zs.evaluation import evaluate as evaluate_checkpoints

        return evaluate_checkpoints(chosen.sources, perturbations, **chosen.options)

    emit_results(answer(compute, compare_with_care), output, plot)


def _noise(noise: str | None, said: dict[str, Any]) -> Sequence[Perturbation]:
    from robustbench_zs.perturbations.make import NOISES

    parameters = {p.name: p for p in NOISES[noise].parameters()} if noise else {}
    if missing := [p.option for p in parameters.values() if p.required and p.name not in said]:
        raise RequestError(f"--noise {noise} needs --{missing[0]}, for example --{missing[0]} 0.02")
    if extra := [name for name in said if name not in parameters and name != "seed"]:
        raise RequestError(f"--{extra[0]} " + (f"is no option of --noise {noise}" if noise else "requires --noise"))
    return NOISES[noise].of(**{name: said[name] for name in parameters if name in said}) if noise else []


def over_draws(chosen: ChosenNetworks, perturbations: Sequence[Perturbation], draws: int, seed: int | None) -> pd.DataFrame:
    """The rows of networks of the user's own over draws of their noise.

    Raises:
        RequestError: there are only checkpoints.
    """
    if all(isinstance(source, Path) for source in chosen.sources or ()):
        raise RequestError("--eot requires --model: checkpoints of zsbench have no random outputs")
    from robustbench_zs.evaluation import expected_accuracy

    options = {name: value for name, value in chosen.options.items() if name != "workers"}
    if seed is not None:
        options["seed"] = seed
    return expected_accuracy(chosen.sources or (), perturbations, draws=draws, **options)


def compare_with_care(frame: pd.DataFrame) -> str | None:
    """A sentence on what rows differ in besides schemes."""
    from robustbench_zs.analysis.comparability import mark

    words = mark(frame)
    return f"{words} Add --format json to see which." if words else None


def emit_results(found: Answer, output: Output, plot: Path | None = None) -> None:
    """Print the rows of `evaluate` or `attack`, and what else they differ in than schemes; draw them where `plot` is."""
    if plot is not None:
        import pandas as pd

        from robustbench_zs.reporting.comparison import networks_compared, picture

        write_atomically(plot, picture(networks_compared(pd.DataFrame(found.rows)), plot))
    columns: dict[str, Any] = {
        **NETWORK,
        "Dataset": text("dataset"),
        "Perturbation": text("perturbation"),
        "Images": text("examples"),
        "Clean %": number("clean_accuracy"),
        "Accuracy % [95% interval]": with_interval("accuracy", "ci_low", "ci_high"),
        "Drop": number("drop"),
    }
    if any("draws" in row for row in found.rows):
        columns["Draws"] = text("draws")
    output.emit(found.rows, columns)
    if any("expectation over transformation" in (row.get("warning") or "") for row in found.rows):
        say("Add --eot N for means over N draws.")
    for words in found.said:
        say(words)
