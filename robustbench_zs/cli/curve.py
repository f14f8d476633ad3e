"""`zsbench curve`: robust accuracy against ε."""

from __future__ import annotations

from pathlib import Path

import click

from robustbench_zs.cli.command import PICTURE_FILE, ChosenNetworks, Command, checkpoint_arguments, output_options
from robustbench_zs.cli.output import NETWORK, Output, number, text
from robustbench_zs.system.files import write_atomically


@click.command(cls=Command)
@checkpoint_arguments
@click.option("--eps", metavar="ε", help="Largest ε that is tried.  [default: 16/255; MNIST 0.5, digits 0.3, L2 2]")
@click.option("--steps", type=int, default=16, show_default=True, metavar="N", help="Steps that refine an example.")
@click.option("--norm", type=click.Choice(["linf", "l2"]), default="linf", show_default=True, help="Norm of the distance.")
@click.option("--plot", type=PICTURE_FILE, metavar="FILE", help="Draw the curves as PNG, SVG or PDF.")
@output_options
def curve(
    chosen: ChosenNetworks,
    eps: str | None,
    steps: int,
    norm: str,
    plot: Path | None,
    output: Output,
) -> None:
    """Measure robust accuracy as a function of ε.

    A minimum-norm attack (FMN, towards several classes) searches for the nearest adversarial example of each test image. Its
    distance is an upper bound on the smallest ε that fools the network, since another example may lie nearer. The search
    ends at the largest ε. The table has the ε at which 25, 50 and 75% of the images that are classified correctly when clean
    are fooled.
    """
    from robustbench_zs.evaluation import robustness_curve

    frame = robustness_curve(
        chosen.sources,
        eps=eps,
        steps=steps,
        norm=norm,
        **chosen.options,
    )
    if plot is not None:
        from robustbench_zs.reporting.comparison import picture
        from robustbench_zs.reporting.figures import robustness_curves

        write_atomically(plot, picture(robustness_curves(frame), plot))
    output.emit(
        frame,
        {
            **NETWORK,
            "Dataset": text("dataset"),
            "Images": text("examples"),
            "Clean %": number("clean_accuracy"),
            "ε for 25%": number("eps_25", 4),
            "50%": number("median_eps", 4),
            "75%": number("eps_75", 4),
        },
    )
