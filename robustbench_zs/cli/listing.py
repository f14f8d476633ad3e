"""`zsbench list`: what there is, by the names that commands take."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from robustbench_zs.cli.command import Command, output_options
from robustbench_zs.cli.output import Output, text

Entries = Iterator[tuple[str, str]]
"""Name and what it is."""

KINDS = ("studies", "networks", "schemes", "attacks", "recipes", "checkpoints", "datasets")


@click.command("list", cls=Command)
@click.argument("kinds", nargs=-1, type=click.Choice(KINDS), metavar="[KIND]...")
@click.option("--data-dir", type=click.Path(path_type=Path), metavar="DIR", help="Folder that holds cifar10/, mnist/, …")
@output_options
def list_(kinds: tuple[str, ...], data_dir: Path | None, output: Output) -> None:
    """List studies, networks, attacks, datasets and more.

    KIND is one of studies, networks, schemes, attacks, recipes, checkpoints and datasets; without it, all are listed.
    """
    emit_list(kinds, output, data_dir)


def emit_list(kinds: tuple[str, ...], output: Output, data_dir: Path | None = None) -> None:
    """Print what there is of some kinds, of all without any."""
    makers: dict[str, Callable[[], Entries]] = {
        "studies": _studies,
        "networks": _networks,
        "schemes": _schemes,
        "attacks": _attacks,
        "recipes": _recipes,
        "checkpoints": _checkpoints,
        "datasets": lambda: _datasets(data_dir),
    }
    rows = [
        {"schema_version": 1, "kind": kind, "name": name, "what": what}
        for kind in kinds or KINDS
        for name, what in makers[kind]()
    ]
    output.emit(rows, {"Kind": text("kind"), "Name": text("name"), "What": text("what")})


def _studies() -> Entries:
    from robustbench_zs.errors import RequestError
    from robustbench_zs.studies.duration import in_words, training_seconds
    from robustbench_zs.studies.load import known_studies, load_study

    for name in known_studies():
        try:
            study = load_study(name)
        except RequestError as error:
            yield name, f"cannot be read: {error}"
            continue
        trained = study.trainings() if study.size else []
        epochs = sum(part.size * part.full_recipe().epochs for part in trained)
        seconds = [training_seconds(part) for part in trained]
        known = [s for s in seconds if s is not None]
        time = f", {in_words(sum(known))} of training on two cores, an estimate" if known and None not in seconds else ""
        size = f" ({study.size} networks, {epochs:,} epochs in all{time})" if trained else ""
        yield name, f"{study.title}{size}"


def _networks() -> Entries:
    from robustbench_zs.networks.table import NAMED

    for name in NAMED:
        yield name, "see zsbench networks"


def _schemes() -> Entries:
    from robustbench_zs.schemes import catalog

    for name, scheme in catalog().items():
        yield name, f"{'zero-stable' if scheme.zero_stable else 'not zero-stable'}, α = {', '.join(map(str, scheme.alphas))}"


def _attacks() -> Entries:
    from robustbench_zs.perturbations.make import ATTACKS
    from robustbench_zs.reporting.commands import attack_option

    for name in ATTACKS:
        yield name, f"zsbench attack {attack_option(name)}"


def _recipes() -> Entries:
    from robustbench_zs.training.recipe import RECIPES

    for name, recipe in RECIPES.items():
        yield name, f"{recipe.epochs} epochs, batch {recipe.batch_size}, {recipe.schedule}, {recipe.augmentation}"


def _checkpoints() -> Entries:
    from robustbench_zs.training.zoo import own_checkpoints, zoo_checkpoints

    for checkpoint in [*own_checkpoints(), *zoo_checkpoints()]:
        header = checkpoint.header
        yield str(checkpoint.path), f"{header.network.name}, {header.dataset.name}, seed {header.seed}"


def _datasets(data_dir: Path | None) -> Entries:
    from robustbench_zs.datasets.known import EMBEDDED, KNOWN
    from robustbench_zs.datasets.load import default_data_dir

    folder = data_dir or default_data_dir()
    inside = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    for name in KNOWN:
        here = "inside scikit-learn" if name == EMBEDDED else f"in {folder / name}" if name in inside else "not here"
        yield name, here
    for name in inside:
        if name not in KNOWN and any(os.path.exists(folder / name / split) for split in ("train", "data")):
            yield name, f"in {folder / name}"
