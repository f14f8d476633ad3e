"""Make the zoo from finished studies: weights of the first seed, outcomes of all seeds, a model card for each network.

python benchmarks/zoo/export_zoo.py zoo-cifar10 zoo-cifar10-autoattack --data-dir DIR

The first study gives the networks; the others, which use its checkpoints, give more columns. Networks that are not finished
are left out and named, so it can be done again after every step. In the working folder it writes `checkpoints/zoo/DATASET/`:
NETWORK-seed0.safetensors (weights in half precision where that changes no accuracy of the first study by more than the
tolerances, else float32; the printed table shows it), NETWORK.md, STUDY-test.json and STUDY-train.json, and beside the
package's code a link to each. It writes nothing where a file or the whole zoo would be too large for git.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from finished import Finished, FinishedStudy, finished_study
from model_card import Rounding, Weights, file_stem, model_card, rounding_table

from robustbench_zs import Baseline, RequestError, UnfinishedError, read_checkpoint
from robustbench_zs.evaluation.evaluator import Evaluated, EvaluationTask, evaluate_one
from robustbench_zs.evaluation.questions import Accuracy
from robustbench_zs.evaluation.store import DEFAULT_STORE
from robustbench_zs.gate.baseline import write_baseline_file
from robustbench_zs.reporting.cells import markdown
from robustbench_zs.system.files import write_atomically
from robustbench_zs.system.workers import Job, available_cores, run_jobs
from robustbench_zs.training.execution import Compute
from robustbench_zs.training.half_precision import save_in_half
from robustbench_zs.training.zoo import IN_WORKING_FOLDER, SHIPPED

MAX_FILE_BYTES = 5 * 10**6
MAX_ZOO = 20 * 2**20
TOLERANCE = 0.05
"""Points that a clean or noisy accuracy may change: half of what reproducing it on another device may differ by."""

ATTACK_TOLERANCE = 0.1
"""Points that a robust accuracy may change. An attack turns more outcomes around: signs of gradients hang on every bit."""


def export_zoo(
    studies: Sequence[FinishedStudy],
    store: Path,
    zoo: Path = IN_WORKING_FOLDER,
    tolerance: float = TOLERANCE,
    attack_tolerance: float = ATTACK_TOLERANCE,
    device: str | None = None,
    workers: int = 1,
    kinds: Collection[str] = (),
) -> tuple[pd.DataFrame, list[Path]]:
    """Write the zoo of the networks of the first study; the other studies have more outcomes of the same networks.

    Args:
        device, workers: for evaluating the rounded weights.
        kinds: of perturbations that decide about rounding, besides clean images; all by default.

    Returns:
        What rounding changes, one row per network and perturbation, and the files written.

    Raises:
        RequestError: a checkpoint is not there, the studies are not of the same networks, the first has no perturbation of a
            kind, or the files are too large.
        UnfinishedError: a file cannot be written.
    """
    main = studies[0]
    folder = zoo / main.networks[0].step.task.load_dataset().name
    there = {question.perturbation.kind for question in main.questions if question.perturbation}
    if unknown := [kind for kind in kinds if kind not in there]:
        raise RequestError(f"there are no outcomes under {unknown[0][:40]!r}; there are: {', '.join(sorted(there))}")
    known = {f.known.digest for f in main.networks}
    for study in studies[1:]:
        if strange := [f for f in study.networks if f.known.digest not in known]:
            raise RequestError(
                f"{strange[0].step.task.network.name} of {study.study.name!r} is no finished network of {main.study.name!r}"
            )
    splits: list[tuple[FinishedStudy, Literal["train", "test"]]] = [(main, "train"), *((study, "test") for study in studies)]
    baselines = {f"{study.study.name}-{split}.json": study.baseline(split) for study, split in splits}
    tables = []
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        firsts = [f for f in main.networks if f.step.task.seed == main.study.seeds[0]]
        for finished, weights in zip(
            firsts, _all_weights(firsts, made, store, Rounded(kinds, device, workers)), strict=True
        ):
            keep = all(abs(r.half - r.float32) <= (tolerance, attack_tolerance)[r.attack] + 1e-9 for r in weights.roundings)
            if not keep:
                weights = _unrounded(finished, weights)
            table, kept = rounding_table(weights.roundings), "float16" if weights.rounded else "float32"
            table.insert(0, "Network", finished.step.task.network.name)
            tables.append(table.assign(**{"Stored in": kept}))
            card = _card(finished, main, weights, list(baselines.values()))
            write_atomically(made / f"{file_stem(finished.step.task.network.name)}.md", card)
        for name, baseline in baselines.items():
            write_baseline_file(made / name, baseline)
        new = sorted(made.iterdir())
        _check_sizes(new, zoo, folder)
        for path in new:
            write_atomically(folder / path.name, path.read_bytes())
    return pd.concat(tables, ignore_index=True), [folder / path.name for path in new]


def _card(finished: Finished, main: FinishedStudy, weights: Weights, baselines: list[Baseline]) -> str:
    name = finished.step.task.network.name
    return model_card([f.known.header for f in main.networks if f.step.task.network.name == name], weights, baselines)


@dataclass(frozen=True)
class Rounded:
    """How the rounded weights are judged, see `export_zoo`."""

    kinds: Collection[str]
    device: str | None
    workers: int


def _all_weights(networks: Sequence[Finished], folder: Path, store: Path, how: Rounded) -> list[Weights]:
    """The files of rounded weights in `folder`, and the test images again, clean and under what decides."""
    paths, jobs = [], []
    compute = Compute(how.device, workers=how.workers)
    for finished in networks:
        original, task = finished.known.checkpoint, finished.step.task
        if original is None:
            raise RequestError(f"the checkpoint {finished.known.path} is gone: the zoo needs its weights")
        path = folder / f"{file_stem(task.network.name)}-seed{task.seed}.safetensors"
        rounded = save_in_half(original, path)
        questions, execution = _deciding(finished, how.kinds), compute.execution(len(networks))
        asked = EvaluationTask(rounded, task.images, questions, execution, compute.batch_size, str(store))
        paths.append(path)
        jobs.append(Job(evaluate_one, (asked,)))
    answers = dict(run_jobs(jobs, how.workers))
    return [
        Weights(read_checkpoint(path), True, _roundings(finished, _deciding(finished, how.kinds), answers[number]))
        for number, (finished, path) in enumerate(zip(networks, paths, strict=True))
    ]


def _deciding(finished: Finished, kinds: Collection[str]) -> tuple[Accuracy, ...]:
    asked = [q for q in finished.outcomes if q.split == "test"]
    return tuple(q for q in asked if not kinds or q.perturbation is None or q.perturbation.kind in kinds)


def _roundings(finished: Finished, questions: Sequence[Accuracy], evaluated: Evaluated) -> list[Rounding]:
    found = []
    for question in questions:
        before, after = finished.outcomes[question], evaluated[question]
        changed = int((before.correct != after.correct).sum())
        attack = question.perturbation is not None and question.perturbation.attacks
        name, count = question.perturbation_label, len(before.correct)
        found.append(Rounding(name, attack, count, before.accuracy, after.accuracy, changed))
    return found


def _unrounded(finished: Finished, weights: Weights) -> Weights:
    """The weights as they are, in place of those that were rounded."""
    assert finished.known.checkpoint is not None
    path = weights.checkpoint.path
    shutil.copyfile(finished.known.checkpoint.path, path)
    return Weights(read_checkpoint(path), False, weights.roundings)


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
        raise RequestError(f"the zoo would have {total:,} bytes; it has {MAX_ZOO:,} at most: see the tolerances")


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
    parser.add_argument("--device", help="for evaluating the rounded weights")
    parser.add_argument("--workers", type=int, default=available_cores(), help="networks at a time for that (%(default)s)")
    parser.add_argument("--kinds", default="", help="of perturbations that decide about rounding, with commas between; all")
    for option, default in (("--tolerance", TOLERANCE), ("--attack-tolerance", ATTACK_TOLERANCE)):
        parser.add_argument(option, type=float, default=default, help="points an accuracy may change (%(default)s)")
    parser.add_argument("--no-links", action="store_true", help="leave the package as it is")
    given = parser.parse_args()
    try:
        studies = [finished_study(name, given.scale, given.data_dir, given.store) for name in given.studies]
        changes, files = export_zoo(
            studies,
            given.store,
            tolerance=given.tolerance,
            attack_tolerance=given.attack_tolerance,
            device=given.device,
            workers=given.workers,
            kinds=tuple(filter(None, given.kinds.split(","))),
        )
        if not given.no_links:
            link_files(files, IN_WORKING_FOLDER, SHIPPED)
    except RequestError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except UnfinishedError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 3
    print(markdown(changes))
    total = sum(path.stat().st_size for path in files)
    print(f"\n{len(files)} files, {total:,} bytes ({total / 2**20:.2f} MiB) in {files[0].parent}")
    for study in studies:
        if study.unfinished:
            print(f"Not finished in {study.study.name}: {', '.join(study.unfinished)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
