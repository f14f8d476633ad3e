"""`zsbench masking`: whether gradients mislead the attacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from robustbench_zs.cli.answers import answer
from robustbench_zs.cli.command import ChosenNetworks, Command, checkpoint_arguments, output_options
from robustbench_zs.cli.output import Output, text

if TYPE_CHECKING:
    import pandas as pd

FLAGS = {True: "FLAG", False: "ok", None: "–"}


@click.command(cls=Command)
@checkpoint_arguments
@click.option("--eps", metavar="ε", help="Budget of the attacks.  [default: 8/255; MNIST 0.3, digits 0.1]")
@click.option(
    "--images",
    type=int,
    default=200,
    show_default=True,
    metavar="N",
    help="Attack the first N images that are classified correctly.",
)
@click.option("--steps", type=int, default=10, show_default=True, metavar="N", help="Steps of PGD.")
@click.option("--queries", type=int, default=1000, show_default=True, metavar="N", help="Queries of Square per image.")
@click.option("--attack-seed", type=int, default=1, show_default=True, metavar="S", help="Seed of the random draws.")
@output_options
def masking(
    chosen: ChosenNetworks,
    eps: str | None,
    images: int,
    steps: int,
    queries: int,
    attack_seed: int,
    output: Output,
) -> None:
    """Check for gradient masking.

    Attacks that follow gradients fail where gradients vanish or mislead, and robust accuracy is then too high.

    \b
    Six checks per network; a flag says that its robust accuracy is likely too high:
      zero_gradients          over 5% of images without a usable gradient
      fgsm_beats_pgd          FGSM, a single step, fools more images than PGD
      not_falling             over 5% of images withstand ε = 0.5, where none should
      more_steps_do_not_help  four times the steps fool no more images there
      black_box_wins          Square, without gradients, fools more images than PGD
      loss_scale_sensitivity  PGD fools more images once the logits are rescaled
    Each needs 50 images that are classified correctly, and significance at 0.01.
    """

    def compute() -> pd.DataFrame:
        from robustbench_zs.analysis.check_masking import masking as check_masking

        return check_masking(
            chosen.sources,
            eps=eps,
            images=images,
            steps=steps,
            queries=queries,
            seed=attack_seed,
            **chosen.options,
        )

    output.emit(
        answer(compute).rows,
        {
            "Network": text("network"),
            "Seed": text("seed"),
            "Check": text("check"),
            "Flag": lambda row: FLAGS[row["flagged"]],
            "Finding": text("finding"),
        },
    )
