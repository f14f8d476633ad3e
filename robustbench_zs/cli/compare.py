"""`zsbench compare`: two networks on the same images."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from robustbench_zs.cli.command import NUMBERS, Command, data_options, execution_options, output_options, size_options
from robustbench_zs.cli.output import Output, number, text
from robustbench_zs.errors import RequestError

if TYPE_CHECKING:
    from robustbench_zs.evaluation import Model


@click.command(cls=Command)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--delta", type=NUMBERS, metavar="δ[,δ…]", help="Also under Gaussian noise.")
@click.option("--fgsm", is_flag=True, help="Also under FGSM.")
@click.option("--pgd", is_flag=True, help="Also under PGD.")
@click.option(
    "--eps", type=NUMBERS, metavar="ε[,ε…]", help="Budget of the attacks.  [default: 8/255; MNIST 0.3, digits 0.1]"
)
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Significance level of all comparisons together.")
@data_options
@size_options
@execution_options
@output_options
def compare(
    first: str,
    second: str,
    delta: tuple[str, ...] | None,
    fgsm: bool,
    pgd: bool,
    eps: tuple[str, ...] | None,
    output: Output,
    **options: Any,
) -> None:
    """Compare two networks by exact paired tests.

    The tests say which of the two classifies more of the same images correctly. A and B are checkpoints, or models named as
    in --model of `zsbench evaluate`.

    \b
    zsbench compare checkpoints/a.safetensors checkpoints/b.safetensors --pgd --delta 0.1
    zsbench compare old.py:net new.py:net --dataset digits
    """
    if eps and not (fgsm or pgd):
        raise RequestError("--eps requires --fgsm or --pgd")
    from robustbench_zs.evaluation.sources import dataset_of, default_eps, resolve_checkpoints
    from robustbench_zs.gate import compare_networks
    from robustbench_zs.perturbations import GaussianNoise, Perturbation
    from robustbench_zs.perturbations.make import make_attacks
    from robustbench_zs.system.workers import available_cores

    networks = [_network(name) for name in (first, second)]
    data = dataset_of(resolve_checkpoints(networks[:1])[0], options["dataset"])
    budgets = eps or [default_eps(str(data))]
    perturbations: list[Perturbation] = [*GaussianNoise.of(delta=delta or ())]
    for kind in [*(["fgsm"] if fgsm else []), *(["pgd"] if pgd else [])]:
        perturbations += make_attacks(kind, budgets)
    frame = compare_networks(networks[0], networks[1], perturbations, workers=available_cores(), **options)
    output.emit(
        frame,
        {
            "Perturbation": text("perturbation"),
            "Images": text("examples"),
            "A %": number("first_accuracy"),
            "B %": number("second_accuracy"),
            "Difference": lambda row: f"{row['difference']:+.1f}",
            "Only A": text("only_first"),
            "Only B": text("only_second"),
            "p (Holm)": lambda row: f"{row['adjusted_p']:.2g}",
            "Better": lambda row: "–" if row["better"] is None else "A" if row["better"] == row["first"] else "B",
        },
    )


def _network(name: str) -> str | Model:
    """A checkpoint's path, or the name of a network of the user's own."""
    if os.path.isfile(name) or ":" not in name:
        return name
    from robustbench_zs.evaluation import Model

    return Model(name)
