"""`zsbench networks`: every network by name."""

from __future__ import annotations

import click

from robustbench_zs.cli.command import Command, output_options
from robustbench_zs.cli.output import Output, moduli, text, yes_no


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[NETWORK]...")
@output_options
def networks(names: tuple[str, ...], output: Output) -> None:
    """Describe networks: depth, parameters, moduli and verdict.

    Parameters and multiply-adds are counted for 32×32×3 images and 10 classes, in the ImageNet form for 224×224×3 and 1000.

    Without NETWORK, the networks of the paper are listed. Any other depth or parameter is named in the same way:
    zerosnet20:lambda=10, preresnet32:alpha=0.7, lm-resnet44:k=-0.5, table10-1:depth=56, each also with block=bottleneck or
    widths=8-16-32. resnet20, lm-resnet20 (trainable k) and zerosnet20-tra (trainable λ) have no roots as a whole.
    """
    from robustbench_zs.networks.table import NAMED, networks_table

    frame = networks_table(names or NAMED)
    output.emit(
        frame,
        {
            "Network": text("network"),
            "Depth": text("depth"),
            "Block": text("block"),
            "Parameters": lambda row: f"{row['parameters']:,}",
            "Multiply-adds": lambda row: f"{row['multiply_adds'] / 1e6:,.1f}M",
            "Moduli": moduli,
            "Zero-stable": yes_no("zero_stable"),
        },
    )
