"""Round the first seed of a finished study to half precision where that changes no accuracy by more than the tolerances.

python benchmarks/zoo/round_weights.py zoo-cifar10 --data-dir DIR --kinds uniform,gaussian,constant,fgsm

What is rounded takes the place of the study's checkpoint, so that `zsbench run` then measures the very weights that the zoo
will have; the original stays beside it as `NAME.safetensors.float32`. The rounded weights are evaluated on the study's test
images, clean and under the perturbations of these kinds. What is rounded already is passed over.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from exit_code import exit_code
from finished import Finished, FinishedStudy, finished_study
from half_precision import save_in_half

from robustbench_zs import RequestError
from robustbench_zs.evaluation.evaluator import Evaluated, EvaluationTask, evaluate_one
from robustbench_zs.evaluation.questions import Accuracy
from robustbench_zs.evaluation.store import DEFAULT_STORE
from robustbench_zs.reporting.cells import markdown
from robustbench_zs.system.files import write_atomically
from robustbench_zs.system.workers import Job, available_cores, run_jobs
from robustbench_zs.training.execution import Compute

TOLERANCE = 0.05
"""Points that a clean or noisy accuracy may change: half of what reproducing it on another device may differ by."""

ATTACK_TOLERANCE = 0.1
"""Points that a robust accuracy may change. An attack turns more outcomes around: signs of gradients hang on every bit."""


@dataclass(frozen=True)
class Judgement:
    """What decides whether weights are rounded: test images clean and under perturbations of `kinds`, all by default."""

    tolerance: float = TOLERANCE
    attack_tolerance: float = ATTACK_TOLERANCE
    kinds: Collection[str] = ()
    device: str | None = None
    workers: int = 1

    def questions(self, finished: Finished) -> tuple[Accuracy, ...]:
        asked = [q for q in finished.outcomes if q.split == "test"]
        return tuple(q for q in asked if not self.kinds or q.perturbation is None or q.perturbation.kind in self.kinds)


def round_weights(study: FinishedStudy, store: Path, judgement: Judgement | None = None) -> pd.DataFrame:
    """Put rounded weights in the place of the first seed's checkpoints, where the judgement allows it.

    Returns:
        One row per network that was not rounded yet: the largest changes of accuracies, and how its weights are stored now.

    Raises:
        RequestError: a checkpoint is not there, or the study has no perturbation of a kind.
        UnfinishedError: a file cannot be written.
    """
    judgement = judgement or Judgement()
    there = {question.perturbation.kind for question in study.questions if question.perturbation}
    if unknown := [kind for kind in judgement.kinds if kind not in there]:
        raise RequestError(f"there are no outcomes under {unknown[0][:40]!r}; there are: {', '.join(sorted(there))}")
    firsts = [f for f in study.networks if f.step.task.seed == study.study.seeds[0]]
    if gone := [f.known.path for f in firsts if f.known.checkpoint is None]:
        raise RequestError(f"the checkpoint {gone[0]} is gone: its weights cannot be rounded")
    networks = [f for f in firsts if f.known.header.rounded_from is None]
    with tempfile.TemporaryDirectory() as temporary:
        paths = [Path(temporary) / f"{number}.safetensors" for number in range(len(networks))]
        answers = _evaluated(networks, paths, store, judgement)
        rows = [
            _judged(finished, path, now, judgement) for finished, path, now in zip(networks, paths, answers, strict=True)
        ]
    return pd.DataFrame(rows)


def _evaluated(networks: Sequence[Finished], paths: Sequence[Path], store: Path, judgement: Judgement) -> list[Evaluated]:
    """Write the rounded weights to the paths, and ask what decides about them."""
    compute = Compute(judgement.device, workers=judgement.workers)
    jobs = []
    for finished, path in zip(networks, paths, strict=True):
        assert finished.known.checkpoint is not None
        rounded = save_in_half(finished.known.checkpoint, path)
        images, questions = finished.step.task.images, judgement.questions(finished)
        how = compute.execution(len(networks)), compute.batch_size
        jobs.append(Job(evaluate_one, (EvaluationTask(rounded, images, questions, *how, str(store)),)))
    answers = dict(run_jobs(jobs, judgement.workers))
    return [answers[number] for number in range(len(networks))]


def _judged(finished: Finished, rounded: Path, now: Evaluated, judgement: Judgement) -> dict[str, object]:
    changes: dict[bool, list[float]] = {False: [], True: []}
    images = 0
    for question in judgement.questions(finished):
        attack = question.perturbation is not None and question.perturbation.attacks
        before, after = finished.outcomes[question], now[question]
        changes[attack].append(abs(after.accuracy - before.accuracy))
        images = max(images, int((after.correct != before.correct).sum()))
    clean, attacked = (max(changes[attack], default=0.0) for attack in (False, True))
    keep = clean <= judgement.tolerance + 1e-9 and attacked <= judgement.attack_tolerance + 1e-9
    if keep:
        _replace(Path(finished.known.path), rounded)
    return {
        "Network": finished.step.task.network.name,
        "Change, clean and noise": clean,
        "Change, attacks": attacked,
        "Images that differ": images,
        "Stored in": "float16" if keep else "float32",
    }


def _replace(path: Path, rounded: Path) -> None:
    """Keep the original beside it, then put the rounded weights in its place."""
    write_atomically(path.with_name(f"{path.name}.float32"), path.read_bytes())
    write_atomically(path, rounded.read_bytes())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", metavar="STUDY")
    parser.add_argument("--scale", choices=["smoke", "small"])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--store", type=Path, default=Path(DEFAULT_STORE))
    parser.add_argument("--device", help="for evaluating the rounded weights")
    parser.add_argument("--workers", type=int, default=available_cores(), help="networks at a time (%(default)s)")
    parser.add_argument("--kinds", default="", help="of perturbations that decide, with commas between; all")
    for option, default in (("--tolerance", TOLERANCE), ("--attack-tolerance", ATTACK_TOLERANCE)):
        parser.add_argument(option, type=float, default=default, help="points an accuracy may change (%(default)s)")
    given = parser.parse_args()
    return exit_code(lambda: _run(given))


def _run(given: argparse.Namespace) -> int:
    kinds = tuple(filter(None, given.kinds.split(",")))
    judgement = Judgement(given.tolerance, given.attack_tolerance, kinds, given.device, given.workers)
    study = finished_study(given.study, given.scale, given.data_dir, given.store)
    rounded = round_weights(study, given.store, judgement)
    if rounded.empty:
        print(f"All first networks of {study.study.name} are rounded already.")
        return 0
    print(markdown(rounded.round(2)))
    print(f"\n`zsbench run {study.study.request}` evaluates what was rounded.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
