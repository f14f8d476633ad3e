"""`zsbench gap`: the generalization gap."""

from __future__ import annotations

from pathlib import Path

import click

from robustbench_zs.cli.command import Chosen, Command, checkpoint_arguments, output_options
from robustbench_zs.cli.output import emit, moduli, text, with_interval, yes_no


@click.command(cls=Command)
@checkpoint_arguments
@output_options
def gap(
    chosen: Chosen,
    format_: str | None,
    output: Path | None,
) -> None:
    """Accuracy on the clean training images − accuracy on the test images, in points.

    Without CHECKPOINT: all below checkpoints/, else with --dataset those of the zoo.
    """
    from robustbench_zs.evaluation import gap as gap_of_checkpoints

    frame = gap_of_checkpoints(
        chosen.sources,
        **chosen.options,
    )
    emit(
        frame,
        {
            "Network": text("network"),
            "Seed": text("seed"),
            "Moduli": moduli,
            "Zero-stable": yes_no("zero_stable"),
            "Dataset": text("dataset"),
            "Training % [95% interval]": with_interval("train_accuracy", "train_ci_low", "train_ci_high"),
            "Test % [95% interval]": with_interval("test_accuracy", "test_ci_low", "test_ci_high"),
            "Gap [95% interval]": with_interval("gap", "gap_ci_low", "gap_ci_high"),
        },
        format_,
        output,
    )
