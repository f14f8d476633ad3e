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
@click.option("--generated", is_flag=True, help="Generate the corruptions with imagecorruptions, at other strengths.")
@click.option("--types", type=NUMBERS, metavar="NAME[,NAME…]", help="Types of corruptions.  [default: all fifteen]")
@click.option("--severities", type=WHOLE_NUMBERS, metavar="S[,S…]", help="Severities from 1 to 5.  [default: all five]")
@click.option("--cells", is_flag=True, help="Print one row per corruption and severity.")
@click.option("--noise-seed", type=int, default=1, show_default=True, metavar="S", help="Seed of generated corruptions.")
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
    """Measure the mean corruption error (mCE).

    The published images are read from CIFAR-10-C/*.npy in the folder of --data-dir. With --generated they are generated
    instead, for images of at least 32×32 pixels; their strengths are those of ImageNet-C, so the errors are not those on
    CIFAR-10-C.
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
