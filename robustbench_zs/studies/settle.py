"""What a study leaves open and a machine decides: the precision of trainings and of the gradients of attacks."""

from __future__ import annotations

from pathlib import Path

import torch

from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.perturbations.native import Directions, faster_directions
from robustbench_zs.studies.plan import make_plan
from robustbench_zs.studies.status import known_network, stored_answers
from robustbench_zs.studies.study import Study
from robustbench_zs.training.recipe import Precision


def settled(study: Study, device: torch.device, data_dir: str | Path | None, store: ResultsStore) -> Study:
    """The study with a precision and with directions: those that it states; else those most of it is known in; else the
    device's."""
    if study.full_recipe().precision == "auto":
        first = study.full_recipe().for_device(str(device)).precision
        choices: list[Precision] = [first, "float32" if first == "bfloat16" else "bfloat16"]

        def networks(study: Study) -> int:
            return sum(known_network(step.task, store) is not None for step in make_plan(study, data_dir).evaluations)

        study = max((study.with_precision(precision) for precision in choices), key=networks)  # the first, if equal
    if study.with_directions("float32").all_perturbations() == study.all_perturbations():
        return study
    shape = make_plan(study, data_dir).evaluations[0].task.load_dataset().test.shape
    faster = faster_directions(device, shape)
    orders: list[Directions] = [faster, "float32" if faster == "bfloat16" else "bfloat16"]

    def results(study: Study) -> int:
        steps = [(step, known_network(step.task, store)) for step in make_plan(study, data_dir).evaluations]
        found = [stored_answers(step, known.digest, store).values() for step, known in steps if known]
        return sum(answer is not None for each in found for answer in each)

    return max((study.with_directions(directions) for directions in orders), key=results)
