"""`zsbench gap`: the generalization gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from robustbench_zs.cli.answers import answer
from robustbench_zs.cli.command import ChosenNetworks, Command, checkpoint_arguments, output_options
from robustbench_zs.cli.output import NETWORK, Output, text, with_interval

if TYPE_CHECKING:
    import pandas as pd


@click.command(cls=Command)
@checkpoint_arguments
@output_options
def gap(
    chosen: ChosenNetworks,
    output: Output,
) -> None:
    """Measure the generalization gap.

    This is accuracy on the clean training images − accuracy on the test images, in percentage points. Without CHECKPOINT,
    all checkpoints below checkpoints/ are evaluated or, if there are none, those of the zoo for --dataset.
    """

    def compute() -> pd.DataFrame:
        from robustbench_zs.evaluation import gap as gap_of_checkpoints

        return gap_of_checkpoints(chosen.sources, **chosen.options)

    output.emit(
        answer(compute).rows,
        {
            **NETWORK,
            "Dataset": text("dataset"),
            "Training % [95% interval]": with_interval("train_accuracy", "train_ci_low", "train_ci_high"),
            "Test % [95% interval]": with_interval("test_accuracy", "test_ci_low", "test_ci_high"),
            "Gap [95% interval]": with_interval("gap", "gap_ci_low", "gap_ci_high"),
        },
    )
