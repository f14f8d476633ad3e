"""`zsbench corruptions`: the mean corruption error."""

from __future__ import annotations

from typing import Any

import click

from robustbench_zs.cli.answers import Answer
from robustbench_zs.cli.command import NUMBERS, WHOLE_NUMBERS, ChosenNetworks, Command, checkpoint_arguments, output_options
from robustbench_zs.cli.evaluate import compare_with_care, emit_results
from robustbench_zs.cli.output import NETWORK, Output, number, plain_rows, text


@click.command(cls=Command)
@checkpoint_arguments
@click.option("--generated", is_flag=True, help="Corrupt the images here, by imagecorruptions, at other strengths.")
@click.option("--types", type=NUMBERS, metavar="NAME[,NAME…]", help="Of the corruptions.  [default: all fifteen]")
@click.option("--severities", type=WHOLE_NUMBERS, metavar="S[,S…]", help="From 1 to 5.  [default: all five]")
@click.option("--cells", is_flag=True, help="A row for each corruption and severity.")
@click.option("--noise-seed", type=int, default=1, show_default=True, metavar="S", help="Of generated corruptions.")
@output_options
def corruptions(
    chosen: ChosenNetworks,
    generated: bool,
    types: tuple[str, ...] | None,
    severities: tuple[int, ...] | None,
    cells: bool,
    noise_seed: int,
    output: Output,
) -> None:
    """Error of checkpoints under common corruptions, and its mean (mCE).

    Reads the published images from DIR/CIFAR-10-C/*.npy, where DIR is that of --data-dir. With --generated they are made
    here, for any images from 32×32 up; their strengths are ImageNet-C's, so those numbers are not CIFAR-10-C's.
    """
    from robustbench_zs.evaluation import corruptions as on_corruptions
    from robustbench_zs.evaluation import mean_corruption_error

    limits: dict[str, Any] = {"types": types, "severities": severities}
    frame = on_corruptions(
        chosen.sources,
        generated=generated,
        seed=noise_seed,
        **chosen.options,
        **{name: value for name, value in limits.items() if value is not None},
    )
    if cells:
        words = compare_with_care(frame)
        emit_results(Answer(plain_rows(frame), [words] if words else []), output)
        return
    output.emit(
        mean_corruption_error(frame),
        {
            **NETWORK,
            "Dataset": text("dataset"),
            "Images": text("images"),
            "Number": text("examples"),
            "Clean error %": number("clean_error"),
            "mCE %": number("mean_corruption_error"),
            "Relative": number("relative_error"),
            "Worst": lambda row: f"{row['worst_type']} {row['errors'][row['worst_type']]:.1f}",
        },
    )
