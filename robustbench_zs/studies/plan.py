"""The plan of a study as a value: what to train, what to evaluate, and what waits for what."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.questions import Accuracy, Question
from robustbench_zs.perturbations import FGSM, PGD
from robustbench_zs.studies.study import Study
from robustbench_zs.training.execution import choose_device
from robustbench_zs.training.task import TrainingTask

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainStep:
    """Train one network."""

    id: str
    task: TrainingTask
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluateStep:
    """Ask the network of one training step all questions.

    `phase` is the place of `Study.phases` that the network belongs to: it is trained behind those of earlier ones.
    """

    id: str
    task: TrainingTask
    questions: tuple[Question[Any], ...]
    needs: tuple[str, ...]
    phase: int = 0

    def training_only(self) -> EvaluateStep:
        """The step for a machine that evaluates nothing."""
        return replace(self, questions=())


@dataclass(frozen=True)
class TransferStep:
    """Attack the network of one training step and show the examples to those of others."""

    id: str
    task: TrainingTask
    targets: tuple[TrainingTask, ...]
    attack: FGSM | PGD
    needs: tuple[str, ...]


@dataclass(frozen=True)
class ReportStep:
    """Write the report of everything."""

    id: str
    folder: Path
    needs: tuple[str, ...]


Step = TrainStep | EvaluateStep | TransferStep | ReportStep


@dataclass(frozen=True)
class Plan:
    """The steps in an order in which they can be done; `needs` of a step are ids of earlier ones."""

    study: Study
    steps: tuple[Step, ...]

    @property
    def evaluations(self) -> tuple[EvaluateStep, ...]:
        return tuple(step for step in self.steps if isinstance(step, EvaluateStep))

    @property
    def transfers(self) -> tuple[TransferStep, ...]:
        return tuple(step for step in self.steps if isinstance(step, TransferStep))

    @property
    def folder(self) -> Path:
        """Where the checkpoints of its networks go."""
        return Path(self.evaluations[0].task.folder)

    @property
    def report(self) -> ReportStep:
        return next(step for step in self.steps if isinstance(step, ReportStep))

    def table(self) -> pd.DataFrame:
        """One row per step: `step`, `kind`, `network`, `seed`, `evaluations`, `needs`."""
        import pandas as pd

        rows = []
        for step in self.steps:
            task = None if isinstance(step, ReportStep) else step.task
            rows.append(
                {
                    "step": step.id,
                    "kind": type(step).__name__.removesuffix("Step").lower(),
                    "network": task.network.name if task else None,
                    "seed": task.seed if task else None,
                    "evaluations": _evaluations(step),
                    "needs": list(step.needs),
                }
            )
        return pd.DataFrame(rows).astype({"seed": "Int64", "evaluations": "Int64"})


def _evaluations(step: Step) -> int | None:
    if isinstance(step, TransferStep):
        return len(step.targets)
    return sum(isinstance(q, Accuracy) for q in step.questions) if isinstance(step, EvaluateStep) else None


def make_plan(
    study: Study,
    data_dir: str | Path | None = None,
    checkpoints: str | Path = "checkpoints",
    reports: str | Path = "reports",
) -> Plan:
    """The plan of a study: in each phase the first seed of every network comes before the second of any.

    A precision that the recipe leaves open is that of the device that is used by default.

    Raises:
        RequestError: the study trains nothing, or has parts, which have a plan each.

    Examples:
        >>> tiny = zs.Study(
        ...     name="tiny", schemes=["euler"], depths=[8], widths=[2, 2, 2], recipe={"epochs": 1},
        ...     dataset={"name": "digits", "train_examples": 20, "test_examples": 20},
        ... )
        >>> list(zs.make_plan(tiny).table()["step"])
        ['train preresnet8:widths=2-2-2 seed 0', 'evaluate preresnet8:widths=2-2-2 seed 0', 'report']
    """
    if study.parts:
        raise RequestError(f"the study {study.name!r} has {len(study.parts)} parts: plan each of them by itself")
    dataset = study.trained_on()
    recipe = study.full_recipe().for_device(str(choose_device(None)))
    clean = (Accuracy(split="train"), Accuracy())
    questions: list[Question[Any]] = [*clean, *(Accuracy(p) for p in study.all_perturbations())]
    curve = study.curve.search() if study.curve else None
    steps: list[Step] = []
    for phase, networks in enumerate(study.phases()):
        for spec, seed in networks:
            task = TrainingTask(
                network=spec,
                dataset=dataset.name,
                data_dir=None if data_dir is None else str(data_dir),
                train_examples=dataset.train_examples,
                test_examples=dataset.test_examples,
                recipe=recipe,
                seed=seed,
                folder=str(Path(checkpoints) / (study.checkpoints or study.name)),
                image_size=dataset.image_size,
            )
            train = TrainStep(f"train {spec.name} seed {seed}", task)
            probe = study.probe() if seed == study.seeds[0] else None
            evaluated = f"evaluate {spec.name} seed {seed}"
            asked = tuple(question for question in (*questions, probe, curve) if question)
            steps += [train, EvaluateStep(evaluated, task, asked, (train.id,), phase)]
    if study.transfer:
        first = [step for step in steps if isinstance(step, TrainStep) and step.task.seed == study.seeds[0]]
        targets, needs = tuple(step.task for step in first), tuple(step.id for step in first)
        steps += [
            TransferStep(f"transfer {step.task.network.name}", step.task, targets, study.transfer.attack(), needs)
            for step in first
        ]
    done = tuple(step.id for step in steps if not isinstance(step, TrainStep))
    return Plan(study, (*steps, ReportStep("report", Path(reports) / study.name, done)))
