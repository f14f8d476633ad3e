"""The gate over a study: evaluate, then compare with a baseline."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args
from warnings import warn

import numpy as np
import pandas as pd

from robustbench_zs.errors import RequestError, ZsbenchWarning
from robustbench_zs.evaluation.evaluator import EvaluationTask, evaluate_one
from robustbench_zs.evaluation.outcomes import EVALUATION_VERSION
from robustbench_zs.evaluation.questions import Accuracy
from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.evaluation.subject import Source, Subject
from robustbench_zs.gate.baseline import Baseline, Entry, read_baseline, write_baseline_file
from robustbench_zs.gate.decision import About, Comparison, Rule, compare
from robustbench_zs.gate.rendering import no_verdict
from robustbench_zs.perturbations.native import Directions
from robustbench_zs.studies.engines import LocalEngine
from robustbench_zs.studies.options import RunOptions
from robustbench_zs.studies.plan import EvaluateStep, make_plan
from robustbench_zs.studies.run import complete
from robustbench_zs.studies.settle import settled
from robustbench_zs.studies.study import Study
from robustbench_zs.system.files import canonical_json
from robustbench_zs.training.recipe import Precision


class NoVerdictWarning(UserWarning):
    """A check has no verdict on some networks."""


@dataclass(frozen=True)
class CheckResult:
    """The findings of a check: `passed` if no comparison is a regression; `no_verdict` says why some have no verdict."""

    study: str
    rule: Rule
    comparisons: tuple[Comparison, ...]

    @property
    def passed(self) -> bool:
        return not any(c.verdict == "regression" for c in self.comparisons)

    @property
    def no_verdict(self) -> str | None:
        return no_verdict(self.comparisons)

    def table(self) -> pd.DataFrame:
        """One row per comparison with the fields of `Comparison` and `change` (now − baseline, points)."""
        rows = [{"schema_version": 1, **asdict(c), "change": c.change} for c in self.comparisons]
        return pd.DataFrame(rows).astype({"seed": "Int64", "worse": "Int64", "better": "Int64"})


def check(
    study: str | Path | Study,
    baseline: str | Path | Baseline,
    *,
    models: Sequence[Source] | None = None,
    rule: Rule | None = None,
    about: About | None = None,
    strict: bool = False,
    **options: Any,
) -> CheckResult:
    """Compare the networks of a study with a baseline; the function behind `zsbench check`.

    Args:
        study: a study, a TOML file, or the name of one.
        baseline: a file that `make_baseline` wrote.
        models: networks of the user's own in place of the study's, always evaluated afresh.
        rule: level and minimal drop; 0.05 and 1 point by default.
        about: "recipe" asks whether a recipe got worse, for which a network that was trained again needs several seeds;
            "weights" whether these networks did, however they were made. By default weights for `models`, else recipe.
        strict: whether a network without a verdict is an error where there is no regression, instead of a warning.
        options: as for `run_study`.

    Raises:
        RequestError: no such study or baseline, the baseline was made with other settings, or `strict` and no verdict.
        UnfinishedError: as `run_study`.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> tiny = zs.Study(
        ...     name="tiny", schemes=["euler"], depths=[8], widths=[2, 2, 2], recipe={"epochs": 1},
        ...     dataset={"name": "digits", "train_examples": 20, "test_examples": 20},
        ... )
        >>> baseline = zs.make_baseline(tiny, "baseline.json", models=[net])
        >>> zs.check(tiny, "baseline.json", models=[net]).passed
        True
    """
    if about not in (None, *get_args(About)):
        raise RequestError(f"a check must be about {' or '.join(get_args(About))}, not {str(about)[:40]!r}")
    before = baseline if isinstance(baseline, Baseline) else read_baseline(baseline)
    now = _as_it_is(study, models, before, RunOptions(**options))
    chosen = rule or Rule()
    asked = about or ("weights" if models is not None else "recipe")
    found = CheckResult(now.study, chosen, tuple(compare(before.entries, now.entries, chosen, asked)))
    if found.no_verdict and strict and found.passed:
        raise RequestError(found.no_verdict)
    if found.no_verdict:
        warnings.warn(found.no_verdict, NoVerdictWarning, stacklevel=2)
    return found


def make_baseline(
    study: str | Path | Study, out: str | Path, *, models: Sequence[Source] | None = None, **options: Any
) -> Baseline:
    """Write the present outcomes of a study's networks to `out`; the function behind `zsbench baseline`.

    Args, errors: as `check`.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> tiny = zs.Study(
        ...     name="tiny", schemes=["euler"], depths=[8], widths=[2, 2, 2], recipe={"epochs": 1},
        ...     dataset={"name": "digits", "train_examples": 20, "test_examples": 20},
        ... )
        >>> baseline = zs.make_baseline(tiny, "baseline.json", models=[net])
        >>> len(baseline.entries)
        1
    """
    now = _as_it_is(study, models, None, RunOptions(**options))
    write_baseline_file(Path(out), now)
    return now


def _as_it_is(
    study: str | Path | Study, models: Sequence[Source] | None, before: Baseline | None, options: RunOptions
) -> Baseline:
    """Outcomes of the networks of a study on its test images, clean and under every perturbation.

    Args:
        before: the baseline to compare with; it gives the precision and the directions where the study leaves them open.

    Raises:
        RequestError: the study trains nothing, or consists of several parts; the baseline was made with other settings: said
            before anything is trained.
    """
    if models is not None and not models:
        raise RequestError("the list of models to check is empty: leave it out to check the networks of the study")
    loaded = options.load(study)
    if len(loaded.trainings()) > 1:
        raise RequestError(f"the study {loaded.name!r} has several parts and cannot be checked: give a study with one part")
    loaded = loaded.trainings()[0].model_copy(
        update={"masking_images": 0, "transfer": None, "curve": None}
    )  # a check compares outcomes only
    if before or models is not None:
        loaded = loaded.with_directions(_directions(before))
    if models is None:
        recipe = before.settings.get("recipe") if before else None
        recipe = recipe if isinstance(recipe, dict) else {}
        if loaded.full_recipe().precision == "auto" and recipe.get("precision") in get_args(Precision):
            loaded = loaded.with_precision(recipe["precision"])
        known = ResultsStore(options.store)
        engine = LocalEngine(options.device, options.threads, options.workers)
        loaded = settled(loaded, engine.device, options.data_dir, known)
    plan = make_plan(loaded, options.data_dir)
    task, questions = plan.evaluations[0].task, _on_test_images(plan.evaluations[0])
    test = task.load_dataset().test
    settings: dict[str, Any] = {
        "dataset": task.load_dataset().name,
        "test_digest": test.digest,
        "perturbations": {q.perturbation_label: canonical_json(q.perturbation_key) for q in questions},
        "evaluation_version": EVALUATION_VERSION,
        "models": models is not None,
    }
    networks: list[tuple[str, int | None]] = [("", None) for _ in models or ()]
    if models is None:
        settings["recipe"] = loaded.full_recipe().as_dict()
        settings["train_digest"] = task.load_dataset().train.digest
        networks = [(step.task.network.name, step.task.seed) for step in plan.evaluations]
    if before:
        outcomes_to_be = dict.fromkeys(settings["perturbations"], np.zeros(len(test), np.bool_))
        before.check_settings(Baseline(loaded.name, settings, tuple(Entry(*n, "", outcomes_to_be) for n in networks)))
    entries: list[Entry] = []
    if models is None:
        done = complete(loaded, known, engine, options)
        for step in done.plan.evaluations:
            network, answers = done.status.known[step.id], done.status.answers[step.id]
            correct = {q.perturbation_label: answers[q].correct for q in _on_test_images(step)}
            entries.append(Entry(step.task.network.name, step.task.seed, network.digest, correct))
    else:
        execution = options.compute.execution(1)
        for source in models:
            results = evaluate_one(
                EvaluationTask(source, task.images, questions, execution, options.batch_size, None), lambda label: None
            )
            subject = Subject.of(source)
            if results.warning:
                warn(f"{subject.network}: {results.warning}", ZsbenchWarning, stacklevel=3)
            correct = {q.perturbation_label: results[q].correct for q in questions}
            entries.append(Entry(subject.network, subject.seed, subject.digest, correct))
        entries = _told_apart(entries)
    return Baseline(loaded.name, settings, tuple(entries))


def _told_apart(entries: list[Entry]) -> list[Entry]:
    """Networks of one factory by their place among all, which also decides what a network is compared with."""
    count = Counter(entry.network for entry in entries)
    return [
        replace(entry, network=f"{entry.network} ({place})") if count[entry.network] > 1 else entry
        for place, entry in enumerate(entries, 1)
    ]


def _on_test_images(step: EvaluateStep) -> tuple[Accuracy, ...]:
    return tuple(q for q in step.questions if isinstance(q, Accuracy) and q.split == "test")


def _directions(before: Baseline | None) -> Directions:
    """What the gradients of a baseline were computed in; float32 without one."""
    return "bfloat16" if before and "bfloat16" in str(before.settings.get("perturbations")) else "float32"
