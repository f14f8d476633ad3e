"""Make the zoo from finished studies: weights of the first seed, outcomes of all seeds, a model card for each network.

python benchmarks/zoo/export_zoo.py zoo-cifar10 zoo-cifar10-autoattack --data-dir DIR

The first study gives the networks; the others, which use its checkpoints, give more columns. Networks that are not finished
are left out and named, so it can be done again after every step. In the working folder it writes `checkpoints/zoo/DATASET/`:
NETWORK-seed0.safetensors (the study's own checkpoint, which `round_weights.py` has made small), NETWORK.md, STUDY-test.json
and STUDY-train.json, and beside the package's code a link to each. It writes nothing where a file or the whole zoo would be
too large for git.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from exit_code import exit_code
from finished import FinishedStudy, finished_study
from model_card import file_stem, model_card

from robustbench_zs import RequestError, read_checkpoint
from robustbench_zs.evaluation.store import DEFAULT_STORE
from robustbench_zs.gate.baseline import write_baseline_file
from robustbench_zs.system.files import write_atomically
from robustbench_zs.training.zoo import IN_WORKING_FOLDER, SHIPPED

MAX_FILE_BYTES = 5 * 10**6
MAX_ZOO = 20 * 2**20


def export_zoo(studies: Sequence[FinishedStudy], zoo: Path = IN_WORKING_FOLDER) -> list[Path]:
    """Write the zoo of the networks of the first study; the other studies have more outcomes of the same networks.

    Returns:
        The files written.

    Raises:
        RequestError: a checkpoint is not there, the studies are not of the same networks, or the files are too large.
        UnfinishedError: a file cannot be written.
    """
    main = studies[0]
    folder = zoo / main.networks[0].step.task.load_dataset().name
    known = {f.known.digest for f in main.networks}
    for study in studies[1:]:
        if strange := [f for f in study.networks if f.known.digest not in known]:
            raise RequestError(
                f"{strange[0].step.task.network.name} of {study.study.name!r} is no finished network of {main.study.name!r}"
            )
    splits: list[tuple[FinishedStudy, Literal["train", "test"]]] = [(main, "train"), *((study, "test") for study in studies)]
    baselines = {f"{study.study.name}-{split}.json": study.baseline(split) for study, split in splits}
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        for finished in (f for f in main.networks if f.step.task.seed == main.study.seeds[0]):
            name, checkpoint = finished.step.task.network.name, finished.known.checkpoint
            if checkpoint is None:
                raise RequestError(f"the checkpoint {finished.known.path} is gone: the zoo needs its weights")
            weights = made / f"{file_stem(name)}-seed{finished.step.task.seed}.safetensors"
            shutil.copyfile(checkpoint.path, weights)
            headers = [f.known.header for f in main.networks if f.step.task.network.name == name]
            card = model_card(headers, read_checkpoint(weights), list(baselines.values()))
            write_atomically(made / f"{file_stem(name)}.md", card)
        for name, baseline in baselines.items():
            write_baseline_file(made / name, baseline)
        new = sorted(made.iterdir())
        _check_sizes(new, zoo, folder)
        for path in new:
            write_atomically(folder / path.name, path.read_bytes())
    return [folder / path.name for path in new]


def _check_sizes(new: Sequence[Path], zoo: Path, folder: Path) -> None:
    """Refuse a zoo that is too large.

    Raises:
        RequestError: a file is larger than 5 MB, or the zoo would be larger than 20 MiB.
    """
    for path in new:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RequestError(
                f"{path.name} has {path.stat().st_size:,} bytes; a file of the zoo has {MAX_FILE_BYTES:,} at most"
            )
    replaced = {folder / path.name for path in new}
    others = [path for path in zoo.rglob("*") if path.is_file() and path not in replaced]
    total = sum(path.stat().st_size for path in (*new, *others))
    if total > MAX_ZOO:
        raise RequestError(f"the zoo would have {total:,} bytes; it has {MAX_ZOO:,} at most: see round_weights.py")


def link_files(files: Sequence[Path], zoo: Path, package: Path) -> None:
    """In the package a link to each file of the zoo, and none to a file that is gone; so wheels have them."""
    for path in files:
        link = package / path.relative_to(zoo)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(path.resolve(), link.parent.resolve()))
    for link in package.rglob("*"):
        if link.is_symlink() and not link.exists():
            link.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="first the one that trained the networks")
    parser.add_argument("--scale", choices=["smoke", "small"])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--store", type=Path, default=Path(DEFAULT_STORE))
    parser.add_argument("--no-links", action="store_true", help="leave the package as it is")
    given = parser.parse_args()
    return exit_code(lambda: _run(given))


def _run(given: argparse.Namespace) -> int:
    studies = [finished_study(name, given.scale, given.data_dir, given.store) for name in given.studies]
    files = export_zoo(studies)
    if not given.no_links:
        link_files(files, IN_WORKING_FOLDER, SHIPPED)
    total = sum(path.stat().st_size for path in files)
    print(f"{len(files)} files, {total:,} bytes ({total / 2**20:.2f} MiB) in {files[0].parent}")
    for study in studies:
        if study.unfinished:
            print(f"Not finished in {study.study.name}: {', '.join(study.unfinished)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
