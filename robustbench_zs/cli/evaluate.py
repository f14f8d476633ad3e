"""`zsbench evaluate`: accuracy on clean and noisy images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robustbench_zs.cli.answers import Answer, answer
from robustbench_zs.cli.command import (
    NUMBERS,
    PICTURE_FILE,
    Chosen,
    Command,
    checkpoint_arguments,
    eot_option,
    output_options,
)
from robustbench_zs.cli.output import emit, moduli, number, text, with_interval, yes_no
from robustbench_zs.cli.progress import say
from robustbench_zs.errors import RequestError
from robustbench_zs.system.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from robustbench_zs.perturbations import Perturbation


@click.command(cls=Command)
@checkpoint_arguments
@click.option("--noise", type=click.Choice(["gaussian", "uniform", "constant"]), help="Without it: clean images.")
@click.option("--delta", type=NUMBERS, metavar="δ[,δ…]", help="Standard deviation of Gaussian noise, as a fraction of 1.")
@click.option("--low", metavar="L", help="Lower end of uniform noise.")
@click.option("--high", metavar="H", help="Upper end of uniform noise.")
@click.option("--mu", type=NUMBERS, metavar="μ[,μ…]", help="Value of constant noise.")
@click.option("--noise-seed", type=int, default=1, show_default=True, metavar="S")
@eot_option
@click.option("--plot", type=PICTURE_FILE, metavar="FILE", help="Draw the accuracies of all networks as PNG, SVG or PDF.")
@output_options
def evaluate(
    chosen: Chosen,
    noise: str | None,
    delta: tuple[str, ...] | None,
    low: str | None,
    high: str | None,
    mu: tuple[str, ...] | None,
    noise_seed: int,
    eot: int | None,
    plot: Path | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Accuracy of checkpoints on test images, clean or under noise.

    Without CHECKPOINT: all below checkpoints/, else with --dataset those of the zoo. Noise is added to images in [0, 1],
    then clipped.

    \b
    zsbench evaluate --noise gaussian --delta 0.02
    zsbench evaluate --noise uniform --low -0.08 --high 0
    zsbench evaluate --noise constant --mu 0.3
    """

    def compute() -> pd.DataFrame:
        perturbations = _noise(noise, {"delta": delta, "low": low, "high": high, "mu": mu}, noise_seed)
        if eot is not None:
            return over_draws(chosen, perturbations, eot, noise_seed)
        from robustbench_zs.evaluation import evaluate as evaluate_checkpoints

        return evaluate_checkpoints(chosen.sources, perturbations, **chosen.options)

    emit_results(answer(compute, compare_with_care), format_, output, plot)


def _noise(noise: str | None, given: dict[str, Any], seed: int) -> list[Perturbation]:
    wanted = {"gaussian": ("delta",), "uniform": ("low", "high"), "constant": ("mu",), None: ()}[noise]
    if missing := [name for name in wanted if given[name] is None]:
        raise RequestError(f"--noise {noise} needs --{missing[0]}, for example --{missing[0]} 0.02")
    if extra := [name for name, value in given.items() if value is not None and name not in wanted]:
        raise RequestError(
            f"--{extra[0]} does not go with " + (f"--noise {noise}" if noise else "clean images: say --noise")
        )
    from robustbench_zs.perturbations import ConstantNoise, GaussianNoise, UniformNoise, parse_number

    if noise == "gaussian":
        return [GaussianNoise(parse_number(d, "delta of Gaussian noise", 0, 100), seed) for d in given["delta"]]
    if noise == "constant":
        return [ConstantNoise(parse_number(m, "mu of constant noise", -1, 1)) for m in given["mu"]]
    if noise == "uniform":
        ends = [parse_number(given[e], f"{e} of uniform noise", -1, 1) for e in ("low", "high")]
        return [UniformNoise(ends[0], ends[1], seed)]
    return []


def over_draws(chosen: Chosen, perturbations: Sequence[Perturbation], draws: int, seed: int) -> pd.DataFrame:
    """The rows of networks of the user's own over draws of their noise.

    Raises:
        RequestError: there are only checkpoints.
    """
    if all(isinstance(source, Path) for source in chosen.sources or ()):
        raise RequestError("--eot goes with --model: no answer of a checkpoint depends on chance")
    from robustbench_zs.evaluation import expected_accuracy

    options = {name: value for name, value in chosen.options.items() if name != "workers"}
    return expected_accuracy(chosen.sources or (), perturbations, draws=draws, seed=seed, **options)


def compare_with_care(frame: pd.DataFrame) -> str | None:
    """A sentence on what rows differ in besides schemes."""
    from robustbench_zs.analysis.comparability import mark

    return mark(frame)


def emit_results(found: Answer, format_: str | None, output: Path | None, plot: Path | None = None) -> None:
    """Print the rows of `evaluate` or `attack`, and what else they differ in than schemes; draw them where `plot` is."""
    if plot is not None:
        import pandas as pd

        from robustbench_zs.reporting.comparison import networks_compared, picture

        write_atomically(plot, picture(networks_compared(pd.DataFrame(found.rows)), plot))
    columns: dict[str, Any] = {
        "Network": text("network"),
        "Seed": text("seed"),
        "Moduli": moduli,
        "Zero-stable": yes_no("zero_stable"),
        "Dataset": text("dataset"),
        "Perturbation": text("perturbation"),
        "Images": text("examples"),
        "Clean %": number("clean_accuracy"),
        "Accuracy % [95% interval]": with_interval("accuracy", "ci_low", "ci_high"),
        "Drop": number("drop"),
    }
    if any("draws" in row for row in found.rows):
        columns["Draws"] = text("draws")
    emit(found.rows, columns, format_, output)
    for words in found.said:
        say(words)
