"""`zsbench attack`: accuracy under attacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robustbench_zs.cli.answers import answer
from robustbench_zs.cli.command import (
    PICTURE_FILE,
    ChosenNetworks,
    checkpoint_arguments,
    eot_option,
    output_options,
)
from robustbench_zs.cli.declared import Declared, DeclaringCommand
from robustbench_zs.cli.evaluate import compare_with_care, emit_results, over_draws
from robustbench_zs.cli.output import Output
from robustbench_zs.cli.progress import say
from robustbench_zs.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd

    from robustbench_zs.perturbations import Perturbation


@click.command(cls=DeclaringCommand)
@checkpoint_arguments
@click.option(
    "--from",
    "from_",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="SOURCE",
    help="Attack the checkpoint SOURCE and evaluate each CHECKPOINT on its adversarial examples; may be repeated.",
)
@click.option("--fgsm", is_flag=True, help="One step along the sign of the gradient.")
@click.option("--pgd", is_flag=True, help="Projected gradient descent in the L∞ ball from a random start.")
@click.option("--attack", "name", cls=Declared, registry="ATTACKS", help="The attack, by name.")
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the adversarial examples to DIR as PNG.",
)
@eot_option
@click.option("--plot", type=PICTURE_FILE, metavar="FILE", help="Draw the accuracies of all networks as PNG, SVG or PDF.")
@output_options
def attack(
    chosen: ChosenNetworks,
    from_: tuple[Path, ...],
    fgsm: bool,
    pgd: bool,
    name: str | None,
    save: Path | None,
    eot: int | None,
    plot: Path | None,
    output: Output,
    **parameters: Any,
) -> None:
    """Measure robust accuracy under an attack.

    Without CHECKPOINT, all checkpoints below checkpoints/ are attacked or, if there are none, those of the zoo for
    --dataset. The default of --eps is 8/255, for MNIST 0.3, for digits 0.1, and for L2 0.5. An image that is misclassified
    when clean counts as misclassified and is not attacked. With --target, accuracy is the share of images that are
    classified correctly when clean and do not reach the target, and the drop is the success rate.

    \b
    zsbench attack --pgd
    zsbench attack --fgsm --eps 2/255,8/255
    zsbench attack --pgd --from SOURCE CHECKPOINT…
    zsbench attack --pgd --examples 100 --save examples
    """
    kinds = [kind for kind, wanted in (("fgsm", fgsm), ("pgd", pgd), (name, name is not None)) if wanted and kind]
    if len(kinds) != 1:
        raise RequestError("give one of --fgsm, --pgd or --attack NAME, for example `zsbench attack --pgd`")
    said = {name: value for name, value in parameters.items() if value is not None}
    eps = said.pop("eps", None)
    if from_ and len(eps or ()) > 1:
        raise RequestError(f"--from takes a single --eps, not {len(eps)}")
    if eot is not None and (from_ or save or said.get("last") or said.get("ladder") is False):
        raise RequestError(
            "--eot cannot be combined with --from, --save, --last or --no-ladder: only the last iterate counts, and there "
            "is no ladder"
        )

    def at_once(dataset: str) -> Sequence[Perturbation]:
        """The attacks, each for itself."""
        from robustbench_zs.evaluation.sources import default_eps
        from robustbench_zs.perturbations.make import make_attacks

        return make_attacks(kinds[0], eps or [default_eps(dataset, said.get("norm"))], **said | {"ladder": False})

    def averaged() -> pd.DataFrame:
        assert eot is not None
        return over_draws(chosen, at_once(str(chosen.options["dataset"])), eot, said.get("seed"))

    def transferred() -> pd.DataFrame:
        from robustbench_zs.evaluation import transfer_attack

        return transfer_attack(from_, chosen.sources, kinds[0], eps=eps[0] if eps else None, **said, **chosen.options)

    def attacked() -> pd.DataFrame:
        from robustbench_zs.evaluation import attack as attack_checkpoints

        return attack_checkpoints(chosen.sources, kinds[0], eps=eps, **said, **chosen.options)

    elsewhere = from_ or "target" in said or said.get("norm") == "l2"
    if save and (elsewhere or kinds[0] not in ("fgsm", "pgd", "apgd")):
        raise RequestError(
            "--save works with --fgsm, --pgd and --attack apgd in the L∞ ball: leave out --from, --target and --norm l2"
        )
    found = answer(transferred if from_ else averaged if eot is not None else attacked, compare_with_care)
    emit_results(found, output, plot)
    if save:
        from robustbench_zs.evaluation.saved import save_examples

        options = {name: value for name, value in chosen.options.items() if name != "workers"}
        saved = save_examples(chosen.sources, at_once(str(found.rows[0]["dataset"])), save, **options)
        lost = f"; {saved.lost} more fool in floating point only" if saved.lost else ""
        say(f"{len(saved.examples)} examples that fool with 8 bits are in {save}{lost}")
