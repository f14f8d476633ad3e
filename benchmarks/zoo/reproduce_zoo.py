"""The numbers of the zoo again: the first seed's from the committed weights, the other seeds' from the committed outcomes.

python benchmarks/zoo/reproduce_zoo.py --data-dir DIR
python benchmarks/zoo/reproduce_zoo.py --data-dir DIR --kinds clean,gaussian,uniform,constant    # without the attacks

Evaluates every network of `checkpoints/zoo/DATASET/` on the images at hand, on the CPU unless --device says otherwise, and
compares with the accuracy in the outcomes beside it. Every number of the model cards and, where they are there, of the
studies' `results.csv` is computed again from the outcomes of all seeds. What is done is kept in a store of its own (the
shared one may have these results from another device), so it goes on where it was interrupted. Exit code 1: something
differs; 2: the request was wrong; 3: it could not be finished.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from exit_code import exit_code
from finished import perturbation_keys
from model_card import accuracy_table, file_stem

from robustbench_zs import Baseline, Checkpoint, RequestError, Study, evaluate, load_dataset, load_study
from robustbench_zs.evaluation.outcomes import EVALUATION_VERSION
from robustbench_zs.evaluation.questions import Accuracy
from robustbench_zs.gate import read_baseline
from robustbench_zs.perturbations import Perturbation
from robustbench_zs.perturbations.native import Directions
from robustbench_zs.reporting.cells import markdown
from robustbench_zs.system.workers import available_cores
from robustbench_zs.training import find_checkpoints
from robustbench_zs.training.zoo import IN_WORKING_FOLDER

TOLERANCE = 0.1
"""Points between processors, which round sums differently."""

STORE = Path("reports/zoo-reproduced.sqlite")

NEEDED = {"file", "scale", "dataset", "split", "digest", "perturbations", "evaluation_version"}
"""Settings of outcomes that evaluating again takes."""

EXACT = 1e-6
"""Points between a number and the same number in a text file."""


@dataclass(frozen=True)
class How:
    """How the weights are evaluated: on what of the images, by what, and where results are kept."""

    data_dir: Path | None = None
    kinds: Collection[str] = ()
    examples: int | None = None
    device: str = "cpu"
    workers: int = 1
    store: Path | None = STORE


def reproduced(folder: Path, how: How) -> pd.DataFrame:
    """Evaluate the weights in `folder`, on every perturbation of the outcomes there.

    Returns:
        One row per network and perturbation: `network`, `seed`, `split`, `perturbation`, `images`, `committed`, `now`, both
        in percent, and `difference` in points.

    Raises:
        RequestError: outcomes or data are not there or not the same.
        UnfinishedError: out of memory, disk full, store locked.
    """
    checkpoints = find_checkpoints(folder)
    rows: list[dict[str, object]] = []
    outcomes = [(baseline, _perturbations(baseline)) for baseline in read_outcomes(folder).values()]
    kinds = dict.fromkeys(_kind(p) for _, perturbations in outcomes for p in perturbations)
    if unknown := [kind for kind in how.kinds if kind not in kinds]:
        raise RequestError(f"there are no outcomes under {unknown[0][:40]!r}; there are: {', '.join(kinds)}")
    for baseline, perturbations in outcomes:
        settings = baseline.settings
        images = len(baseline.entries[0].correct["clean"])
        wanted = [p for p in perturbations if not how.kinds or _kind(p) in how.kinds]
        examples = min(images, how.examples or images)
        if not wanted:
            continue
        split = settings["split"]
        here = load_dataset(settings["dataset"], how.data_dir, **{f"{split}_examples": images})
        if here.split(split).digest != settings["digest"]:
            what = f"the {split} images of {settings['dataset']} at hand"
            raise RequestError(f"{what} are not those of {baseline.study!r}, or in another order")
        committed = {(e.network, e.seed): e for e in baseline.entries}
        there = [c for c in checkpoints if (c.header.network.name, c.header.seed) in committed]
        for checkpoint in there:
            entry = committed[checkpoint.header.network.name, checkpoint.header.seed]
            if entry.digest != checkpoint.digest:
                raise RequestError(f"{checkpoint.path} is not of the weights whose outcomes {baseline.study!r} has")
        for perturbation, frame in _evaluated(there, wanted, settings["dataset"], split, examples, how):
            for checkpoint, now in zip(there, frame["accuracy"], strict=True):
                name, seed = checkpoint.header.network.name, checkpoint.header.seed
                label = Accuracy(perturbation).perturbation_label
                before = 100 * float(committed[name, seed].correct[label][:examples].mean())
                rows.append(
                    {
                        "network": name,
                        "seed": seed,
                        "split": split,
                        "perturbation": label,
                        "images": examples,
                        "committed": before,
                        "now": now,
                        "difference": now - before,
                    }
                )
    return pd.DataFrame(rows)


def _evaluated(
    checkpoints: list[Checkpoint], wanted: list[Perturbation | None], dataset: str, split: str, examples: int, how: How
) -> list[tuple[Perturbation | None, pd.DataFrame]]:
    """One frame a perturbation, its rows in the order of the checkpoints."""
    if not checkpoints:
        return []
    attacks = [p for p in wanted if p is not None]
    frame = evaluate(
        checkpoints,
        attacks,
        dataset=dataset,
        data_dir=how.data_dir,
        split="train" if split == "train" else "test",
        examples=examples,
        device=how.device,
        workers=how.workers,
        store=how.store,
        on_result=lambda path, what: print(f"{Path(path).stem}: {what}", file=sys.stderr),
    )
    made: list[tuple[Perturbation | None, pd.DataFrame]] = []
    if None in wanted:
        clean = frame.drop_duplicates("checkpoint")
        made.append((None, clean.assign(accuracy=clean["clean_accuracy"])))
    return made + [(p, frame[frame["perturbation"] == p.label]) for p in attacks]


def _kind(perturbation: Perturbation | None) -> str:
    return "clean" if perturbation is None else perturbation.kind


def _perturbations(baseline: Baseline) -> list[Perturbation | None]:
    """Those of the outcomes, from the study's file.

    Raises:
        RequestError: the file now says something else.
    """
    settings = baseline.settings
    loaded = load_study(settings["file"], settings["scale"])
    choices: tuple[Directions, ...] = ("float32", "bfloat16")  # what a file leaves open, the machine of the outcomes chose
    for directions in choices if isinstance(loaded, Study) else ():
        perturbations = loaded.with_directions(directions).all_perturbations()
        study = [Accuracy(p) for p in (None, *perturbations)]
        known = [question for question in study if question.perturbation_label in settings["perturbations"]]
        if perturbation_keys(known) == settings["perturbations"] and settings["evaluation_version"] == EVALUATION_VERSION:
            return [question.perturbation for question in known]
    raise RequestError(f"the outcomes of {baseline.study!r} were made with other perturbations than its file has now")


def read_outcomes(folder: Path) -> dict[str, Baseline]:
    """The outcomes in a folder of the zoo by the file's name.

    Raises:
        RequestError: there are none, or one is damaged.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise RequestError(f"there are no outcomes in {folder}: the zoo is empty there")
    found = {path.name: read_baseline(path) for path in paths}
    for name, baseline in found.items():
        if not baseline.settings.keys() >= NEEDED:
            raise RequestError(f"{folder / name} is a baseline, but not one of the zoo")
    return found


def disagreements(folder: Path, reports: Path) -> tuple[int, list[str]]:
    """Compute every number of the model cards and reports again from the outcomes, of all seeds.

    Returns:
        How many accuracies were compared, and a sentence for each thing that differs or is missing.
    """
    outcomes, compared, wrong = read_outcomes(folder), 0, []
    networks = dict.fromkeys(e.network for baseline in outcomes.values() for e in baseline.entries)
    weights = {c.header.network.name for c in find_checkpoints(folder)}
    for network in networks:
        card = folder / f"{file_stem(network)}.md"
        if network not in weights:
            wrong.append(f"there are no weights of {network}")
        if not card.is_file():
            wrong.append(f"there is no card {card}")
        elif accuracy_table(list(outcomes.values()), network) not in card.read_text(encoding="utf-8"):
            wrong.append(f"the accuracies in {card} are not those of the outcomes")
    for baseline in outcomes.values():
        compared += sum(len(e.correct) for e in baseline.entries)
        path = reports / baseline.study / "results.csv"
        if baseline.settings["split"] == "train" or not path.is_file():
            continue
        rows = pd.read_csv(path).set_index(["digest", "perturbation"])["accuracy"]
        for entry in baseline.entries:
            for name, correct in entry.correct.items():
                number = 100 * float(correct.mean())
                if (entry.digest, name) not in rows.index or abs(rows[entry.digest, name] - number) > EXACT:
                    wrong.append(f"{entry.network} seed {entry.seed} under {name} is {number:.2f}, but not in {path}")
    return compared, wrong


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows as people read them, network by network."""
    numbers = {c: frame[c].map("{:.2f}".format) for c in ("committed", "now", "difference")}
    return frame.assign(**numbers).sort_values(["network", "seed"], kind="stable").rename(columns=str.capitalize)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--zoo", type=Path, default=IN_WORKING_FOLDER)
    parser.add_argument("--reports", type=Path, default=Path("reports"))
    parser.add_argument("--kinds", help="of perturbations, such as clean,gaussian,pgd; all by default")
    parser.add_argument("--examples", type=int, help="only the first so many images")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--store", type=Path, default=STORE)
    given = parser.parse_args()
    return exit_code(lambda: _run(given))


def _run(given: argparse.Namespace) -> int:
    folder = given.zoo / given.dataset
    kinds = tuple(given.kinds.split(",")) if given.kinds else ()
    compared, wrong = disagreements(folder, given.reports)
    frame = reproduced(folder, How(given.data_dir, kinds, given.examples, given.device, available_cores(), given.store))
    print(markdown(_shown(frame)))
    far = frame[frame["difference"].abs() > TOLERANCE + EXACT]
    wrong += [f"{row.network} under {row.perturbation} differs by {row.difference:+.2f} points" for row in far.itertuples()]
    print(f"\n{len(frame)} accuracies from weights, at most {frame['difference'].abs().max():.2f} points off.")
    print(f"{compared} accuracies of all seeds from outcomes.")
    for sentence in wrong:
        print(f"Differs: {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
