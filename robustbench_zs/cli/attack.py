"""`zsbench attack`: accuracy under attacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robustbench_zs.cli.answers import answer
from robustbench_zs.cli.command import (
    NUMBERS,
    PICTURE_FILE,
    Chosen,
    Command,
    checkpoint_arguments,
    eot_option,
    output_options,
)
from robustbench_zs.cli.evaluate import compare_with_care, emit_results, over_draws
from robustbench_zs.cli.progress import say
from robustbench_zs.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd


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
@click.option(
    "--directions",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="What PGD's gradients are computed in; examples count by float32.",
)
@click.option("--save", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Write the examples as PNG.")
@eot_option
@click.option("--plot", type=PICTURE_FILE, metavar="FILE", help="Draw the accuracies of all networks as PNG, SVG or PDF.")
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
    directions: str,
    save: Path | None,
    eot: int | None,
    plot: Path | None,
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
    zsbench attack --pgd --examples 100 --save examples
    """
    kinds = [kind for kind, wanted in (("fgsm", fgsm), ("pgd", pgd), (name, name is not None)) if wanted and kind]
    if len(kinds) != 1:
        raise RequestError("give one of --fgsm, --pgd or --attack NAME, for example `zsbench attack --pgd`")
    alone = (
        len(eps or ()) > 1,
        step_size,
        restarts != 1,
        loss != "ce",
        target,
        engine not in (None, "native"),
        directions == "bfloat16",
    )
    if from_ and any(alone):
        raise RequestError("--from goes with one --eps, --steps, --norm and --attack-seed, and our own engine")

    how: dict[str, Any] = {
        "steps": steps,
        "step_size": step_size,
        "restarts": restarts,
        "queries": queries,
        "seed": attack_seed,
        "engine": engine,
        "norm": norm,
        "loss": loss,
        "target": target,
        "last": last or None,
        "directions": directions,
    }
    if eot is not None and (from_ or save or last or no_ladder):
        raise RequestError(
            "--eot goes without --from and --save; with it only the last iterate counts, and there is no ladder"
        )

    def averaged() -> pd.DataFrame:
        from robustbench_zs.evaluation.sources import default_eps
        from robustbench_zs.perturbations.make import make_attacks

        assert eot is not None
        budgets = eps or [default_eps(str(chosen.options["dataset"]), norm)]
        attacks = make_attacks(kinds[0], budgets, ladder=False, **how)
        return over_draws(chosen, attacks, eot, attack_seed)

    def transferred() -> pd.DataFrame:
        from robustbench_zs.evaluation import transfer_attack

        same = {name: how[name] for name in ("steps", "norm", "seed")}
        return transfer_attack(from_, chosen.sources, kinds[0], eps=eps[0] if eps else None, **same, **chosen.options)

    def attacked() -> pd.DataFrame:
        from robustbench_zs.evaluation import attack as attack_checkpoints

        return attack_checkpoints(chosen.sources, kinds[0], eps=eps, ladder=not no_ladder, **how, **chosen.options)

    if save and (from_ or target or norm != "linf" or kinds[0] not in ("fgsm", "pgd", "apgd")):
        raise RequestError("--save goes with --fgsm, --pgd and --attack apgd in the L∞ ball, without --from and --target")
    found = answer(transferred if from_ else averaged if eot is not None else attacked, compare_with_care)
    emit_results(found, format_, output, plot)
    if save:
        from robustbench_zs.evaluation.saved import save_examples
        from robustbench_zs.evaluation.sources import default_eps
        from robustbench_zs.perturbations.make import make_attacks

        budgets = eps or [default_eps(str(found.rows[0]["dataset"]))]
        attacks = make_attacks(kinds[0], budgets, ladder=False, **how)
        options = {name: value for name, value in chosen.options.items() if name != "workers"}
        saved = save_examples(chosen.sources, attacks, save, **options)
        lost = f"; {saved.lost} more fool in floating point only" if saved.lost else ""
        say(f"{len(saved.examples)} examples that fool with 8 bits are in {save}{lost}")
