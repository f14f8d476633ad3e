"""What a study leaves open and a machine decides: the precision of trainings and of the gradients of attacks."""

from __future__ import annotations

from pathlib import Path

import torch

from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.perturbations.native import Directions, faster_directions
from robustbench_zs.studies.plan import Plan, make_plan
from robustbench_zs.studies.status import known_network, stored_answers
from robustbench_zs.studies.study import Study
from robustbench_zs.training.execution import choose_device
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
    plan = make_plan(study, data_dir)
    faster = faster_directions(device, plan.evaluations[0].task.load_dataset().test.shape)
    orders: list[Directions] = [faster, "float32" if faster == "bfloat16" else "bfloat16"]

    networks_known = [known_network(step.task, store) for step in plan.evaluations]  # whatever the directions

    def results(study: Study) -> int:
        steps = zip(make_plan(study, data_dir).evaluations, networks_known, strict=True)
        found = [stored_answers(step, known.digest, store).values() for step, known in steps if known]
        return sum(answer is not None for each in found for answer in each)

    return max((study.with_directions(directions) for directions in orders), key=results)


def stored_plans(
    study: Study, asked: str | Path, data_dir: str | Path | None, store: str | Path
) -> tuple[ResultsStore, list[Plan]]:
    """The results store, and the plans of a study's parts as they are known in it; nothing is to be computed.

    Args:
        asked: what the user called the study, for the sentence on what to do.

    Raises:
        RequestError: the study trains nothing, or there is no store.
    """
    parts = study.trainings()
    if not Path(store).exists():
        raise RequestError(f"there is no results store {store}: run `zsbench run {asked}` first")
    known, device = ResultsStore(store), choose_device(None)
    return known, [make_plan(settled(part, device, data_dir, known), data_dir) for part in parts]
