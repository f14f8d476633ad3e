"""`zsbench attack`: accuracy under attacks."""

from __future__ import annotations

from pathlib import Path

import click

from robustbench_zs.cli.command import NUMBERS, Chosen, Command, checkpoint_arguments, output_options
from robustbench_zs.cli.evaluate import emit_results
from robustbench_zs.errors import RequestError


@click.command(cls=Command)
@checkpoint_arguments
@click.option(
    "--from",
    "from_",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="SOURCE",
    help="Attack the checkpoint SOURCE and show the examples to each CHECKPOINT; may be repeated.",
)
@click.option("--fgsm", is_flag=True, help="One step along the sign of the gradient.")
@click.option("--pgd", is_flag=True, help="Projected gradient descent in the L∞ ball from a random start.")
@click.option("--attack", "name", metavar="NAME", help="fgsm, pgd, apgd, autoattack, apgd-t, fab or square.")
@click.option("--eps", type=NUMBERS, metavar="ε[,ε…]", help="Budget.  [default: 8/255; MNIST 0.3, digits 0.1, L2 0.5]")
@click.option("--steps", type=int, metavar="N", help="Steps of PGD, APGD or FAB.  [default: PGD 10, else 100]")
@click.option("--step-size", metavar="A", help="Step of PGD.  [default: ε/4]")
@click.option("--restarts", type=int, default=1, show_default=True, metavar="N", help="Random starts of PGD or APGD.")
@click.option(
    "--norm", type=click.Choice(["linf", "l2"]), default="linf", show_default=True, help="Of the ball; not FGSM's."
)
@click.option("--loss", type=click.Choice(["ce", "dlr", "margin"]), default="ce", show_default=True, help="Of PGD or APGD.")
@click.option(
    "--target",
    metavar="TARGET",
    help="Drive PGD or APGD to a class: next, random, least-likely or its number; only reaching it counts.",
)
@click.option("--last", is_flag=True, help="Only PGD's last iterate counts.  [default: any, but in libraries]")
@click.option("--no-ladder", is_flag=True, help="Attack afresh at each ε, whatever happened at a smaller one.")
@click.option("--queries", type=int, default=1000, show_default=True, metavar="N", help="Queries of Square, an image.")
@click.option("--attack-seed", type=int, default=1, show_default=True, metavar="S")
@click.option(
    "--engine",
    type=click.Choice(["native", "foolbox", "torchattacks"]),
    help="torchattacks also has AutoAttack and Square, foolbox FGSM and PGD.  [default: native]",
)
@output_options
def attack(
    chosen: Chosen,
    from_: tuple[Path, ...],
    fgsm: bool,
    pgd: bool,
    name: str | None,
    eps: tuple[str, ...] | None,
    steps: int | None,
    step_size: str | None,
    restarts: int,
    norm: str,
    loss: str,
    target: str | None,
    last: bool,
    no_ladder: bool,
    queries: int,
    attack_seed: int,
    engine: str | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Robust accuracy of checkpoints under an attack.

    Without CHECKPOINT: all below checkpoints/, else with --dataset those of the zoo. An image that is wrong when clean
    counts as wrong and is not attacked. With --target, accuracy is the share of images that are right when clean and do not
    reach the target, and the drop is the success rate.

    \b
    zsbench attack --pgd
    zsbench attack --fgsm --eps 2/255,8/255
    zsbench attack --pgd --from SOURCE CHECKPOINT…
    """
    kinds = [kind for kind, wanted in (("fgsm", fgsm), ("pgd", pgd), (name, name is not None)) if wanted and kind]
    if len(kinds) != 1:
        raise RequestError("give one of --fgsm, --pgd or --attack NAME, for example `zsbench attack --pgd`")
    from robustbench_zs.evaluation import attack as attack_checkpoints
    from robustbench_zs.evaluation import transfer_attack

    if from_:
        if len(eps or ()) > 1 or step_size or restarts != 1 or loss != "ce" or target or engine not in (None, "native"):
            raise RequestError("--from goes with one --eps, --steps, --norm and --attack-seed, and our own engine")
        frame = transfer_attack(
            from_,
            chosen.sources,
            kinds[0],
            eps=eps[0] if eps else None,
            steps=steps,
            norm=norm,
            seed=attack_seed,
            **chosen.options,
        )
        emit_results(frame, format_, output)
        return
    frame = attack_checkpoints(
        chosen.sources,
        kinds[0],
        eps=eps,
        steps=steps,
        step_size=step_size,
        restarts=restarts,
        queries=queries,
        seed=attack_seed,
        engine=engine,
        norm=norm,
        loss=loss,
        target=target,
        last=last or None,
        ladder=not no_ladder,
        **chosen.options,
    )
    emit_results(frame, format_, output)
