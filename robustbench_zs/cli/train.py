"""`zsbench train`: networks to checkpoints."""

from __future__ import annotations

from pathlib import Path

import click

from robustbench_zs.cli.command import WHOLE_NUMBERS, Command, data_options, execution_options, output_options
from robustbench_zs.cli.output import NETWORK, Output, number, text
from robustbench_zs.errors import RequestError


@click.command(cls=Command)
@click.option("--network", "names", multiple=True, metavar="NAME", help="Such as zerosnet56-opt; may be given repeatedly.")
@click.option("--scheme", "schemes", multiple=True, metavar="SCHEME", help="Such as table10-1; goes with --depth.")
@click.option("--depth", type=int, metavar="D", help="Layers of a network given by --scheme.  [default: 20]")
@data_options
@click.option(
    "--train-examples", type=int, metavar="N", help="Use the first N training images only.  [default: digits 200, else all]"
)
@click.option("--test-examples", type=int, metavar="N", help="Monitor training on the first N test images only.")
@click.option("--recipe", metavar="RECIPE", help="Recipe by name, such as cifar10-code; by default that of the dataset.")
@click.option("--show-recipe", is_flag=True, help="Print the recipe in full and train nothing.")
@click.option("--epochs", type=int, metavar="N", help="Number of epochs; by default that of the recipe.")
@click.option("--replicas", type=int, metavar="N", help="Shares of a batch, each with its own batch-norm statistics.")
@click.option(
    "--precision", type=click.Choice(["auto", "float32", "bfloat16"]), help="Number format; by default that of the recipe."
)
@click.option("--image-size", type=int, metavar="N", help="Resize images from class folders.  [default: imagenet 224]")
@click.option("--seed", type=int, metavar="S", help="Seed of weights, order and augmentation.  [default: 0]")
@click.option("--seeds", type=WHOLE_NUMBERS, metavar="S,S,…", help="Several seeds, one network per seed.")
@execution_options
@output_options
def train(
    names: tuple[str, ...],
    schemes: tuple[str, ...],
    depth: int | None,
    dataset: str | None,
    data_dir: Path | None,
    train_examples: int | None,
    test_examples: int | None,
    recipe: str | None,
    show_recipe: bool,
    epochs: int | None,
    replicas: int | None,
    precision: str | None,
    image_size: int | None,
    seed: int | None,
    seeds: tuple[int, ...] | None,
    device: str | None,
    threads: int | None,
    output: Output,
) -> None:
    """Train networks and save them in checkpoints/.

    Without any option, one zero-stable and one non-zero-stable network are trained on the digits that come with
    scikit-learn. A network that is already trained is not trained again, and an interrupted training resumes. On several
    GPUs or hosts, use torchrun --nproc-per-node N -m robustbench_zs.cli train …
    """
    if seed is not None and seeds is not None:
        raise RequestError("give --seed or --seeds, not both")
    if depth is not None and not schemes:
        raise RequestError("--depth requires --scheme: the name of a --network contains its depth")
    from robustbench_zs.cli.progress import progress, say
    from robustbench_zs.networks import NetworkSpec, network_from_name
    from robustbench_zs.networks.spec import default_block
    from robustbench_zs.schemes import scheme_from_name
    from robustbench_zs.system.workers import available_cores
    from robustbench_zs.training import DEFAULT_NETWORKS, recipe_for, recipe_from_name, recipe_table, training_table
    from robustbench_zs.training import train as train_networks
    from robustbench_zs.training.execution import choose_device

    layers = 20 if depth is None else depth
    specs = [network_from_name(name) for name in names]
    specs += [NetworkSpec(scheme_from_name(name), layers, default_block(layers)) for name in schemes]
    specs = specs or [network_from_name(name) for name in DEFAULT_NETWORKS]
    chosen_seeds = seeds if seeds is not None else (seed or 0,)
    data = dataset or "digits"
    chosen = (recipe_from_name(recipe) if recipe else recipe_for(data)).with_changes(
        epochs=epochs, replicas=replicas, precision=precision
    )
    if show_recipe:
        chosen = chosen.for_device(str(choose_device(device)))
        output.emit(recipe_table(chosen), {"Recipe": text("setting"), "": text("value")})
        return
    with progress(len(specs) * len(chosen_seeds)) as shown:
        checkpoints = train_networks(
            specs,
            data,
            data_dir=data_dir,
            train_examples=train_examples,
            test_examples=test_examples,
            image_size=image_size,
            recipe=chosen,
            seeds=chosen_seeds,
            device=device,
            threads=threads,
            workers=available_cores(),
            on_progress=shown.epoch,
            say=say,
        )
    if not checkpoints:
        return  # one of several processes, and not the one that prints
    output.emit(
        training_table(checkpoints),
        {
            **NETWORK,
            "Epochs": lambda row: f"{row['epochs']}" + (" (diverged)" if row["diverged_at"] else ""),
            "Loss": number("loss", 3),
            "Train %": number("train_accuracy"),
            "Test %": number("test_accuracy"),
            "Seconds": number("seconds"),
            "Checkpoint": text("checkpoint"),
        },
    )
