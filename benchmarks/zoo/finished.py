"""What a study has finished: networks whose every evaluation is in the results store, and their outcomes as baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from robustbench_zs import Baseline, RequestError, ResultsStore, Study, load_study, make_plan
from robustbench_zs.evaluation.outcomes import EVALUATION_VERSION, Outcomes
from robustbench_zs.evaluation.questions import Accuracy
from robustbench_zs.gate import Entry
from robustbench_zs.studies.plan import EvaluateStep
from robustbench_zs.studies.settle import settled
from robustbench_zs.studies.status import KnownNetwork, plan_status
from robustbench_zs.system.files import canonical_json
from robustbench_zs.training.execution import choose_device


@dataclass(frozen=True)
class Finished:
    """A network of a study with its outcomes, by question."""

    step: EvaluateStep
    known: KnownNetwork
    outcomes: Mapping[Accuracy, Outcomes]


@dataclass(frozen=True)
class FinishedStudy:
    """The networks of a study that are finished, in its order, and the names of those that are not."""

    name: str
    scale: str | None
    study: Study
    networks: tuple[Finished, ...]
    unfinished: tuple[str, ...]

    @property
    def questions(self) -> list[Accuracy]:
        return [question for question in self.networks[0].step.questions if isinstance(question, Accuracy)]

    def baseline(self, split: Literal["train", "test"]) -> Baseline:
        """Per-image outcomes of every finished network on one split, with what they depend on."""
        asked = [question for question in self.questions if question.split == split]
        task = self.networks[0].step.task
        dataset = task.load_dataset()
        settings: dict[str, Any] = {
            "file": self.name,
            "scale": self.scale,
            "dataset": dataset.name,
            "split": split,
            "digest": dataset.split(split).digest,
            "perturbations": perturbation_keys(asked),
            "evaluation_version": EVALUATION_VERSION,
            "recipe": task.recipe.as_dict(),
        }
        entries = tuple(
            Entry(f.step.task.network.name, f.step.task.seed, f.known.digest, _correct(f, asked)) for f in self.networks
        )
        return Baseline(self.study.name, settings, entries)


def _correct(finished: Finished, asked: list[Accuracy]) -> dict[str, npt.NDArray[np.bool_]]:
    return {question.perturbation_label: finished.outcomes[question].correct for question in asked}


def perturbation_keys(asked: list[Accuracy]) -> dict[str, str]:
    """Label → canonical parameters."""
    return {question.perturbation_label: canonical_json(question.perturbation_key) for question in asked}


def finished_study(name: str, scale: str | None, data_dir: str | Path | None, store: Path) -> FinishedStudy:
    """What of a study is in the store.

    Raises:
        RequestError: no such study or store, or no network of it is finished.
    """
    loaded = load_study(name, scale)
    if not isinstance(loaded, Study):
        raise RequestError(f"the study {name!r} does not consist of one part with networks in it")
    if not store.is_file():
        raise RequestError(f"there is no results store {store}: run `zsbench run {loaded.request}` first")
    known = ResultsStore(store)
    plan = make_plan(settled(loaded, choose_device(None), data_dir, known), data_dir)
    status = plan_status(plan, known)
    networks, unfinished = [], []
    for step in plan.evaluations:
        network = status.known.get(step.id)
        answers = status.answers.get(step.id, {})
        outcomes = {question: answer for question, answer in answers.items() if isinstance(question, Accuracy)}
        if network and None not in outcomes.values():
            networks.append(Finished(step, network, outcomes))
        else:
            unfinished.append(f"{step.task.network.name} seed {step.task.seed}")
    if not networks:
        raise RequestError(f"no network of the study {loaded.name!r} is finished: run `zsbench run {loaded.request}` first")
    return FinishedStudy(name, scale, plan.study, tuple(networks), tuple(unfinished))
