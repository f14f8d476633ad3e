"""The plan of a study as a value: what to train, what to evaluate, and what waits for what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_zs.evaluation.masking import MaskingProbe
from robustbench_zs.perturbations import Perturbation
from robustbench_zs.studies.study import Study
from robustbench_zs.training.train import TrainingTask, choose_device

if TYPE_CHECKING:
    import pandas as pd

Items = tuple[tuple[str, Perturbation | None], ...]
"""Pairs of a split and a perturbation; None is the clean images."""


@dataclass(frozen=True)
class TrainStep:
    """Train one network."""

    id: str
    task: TrainingTask
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluateStep:
    """Evaluate the network of one training step on all items, and with `probe` its gradients."""

    id: str
    task: TrainingTask
    items: Items
    needs: tuple[str, ...]
    probe: MaskingProbe | None = None


@dataclass(frozen=True)
class ReportStep:
    """Write the report of everything."""

    id: str
    folder: Path
    needs: tuple[str, ...]


Step = TrainStep | EvaluateStep | ReportStep


@dataclass(frozen=True)
class Plan:
    """The steps in an order in which they can be done; `needs` of a step are ids of earlier ones."""

    study: Study
    steps: tuple[Step, ...]

    @property
    def evaluations(self) -> tuple[EvaluateStep, ...]:
        return tuple(step for step in self.steps if isinstance(step, EvaluateStep))

    @property
    def report(self) -> ReportStep:
        return next(step for step in self.steps if isinstance(step, ReportStep))

    def table(self) -> pd.DataFrame:
        """One row a step: `step`, `kind`, `network`, `seed`, `evaluations`, `needs`."""
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
                    "evaluations": len(step.items) if isinstance(step, EvaluateStep) else None,
                    "needs": list(step.needs),
                }
            )
        return pd.DataFrame(rows).astype({"seed": "Int64", "evaluations": "Int64"})


def make_plan(
    study: Study,
    data_dir: str | Path | None = None,
    checkpoints: str | Path = "checkpoints",
    reports: str | Path = "reports",
) -> Plan:
    """The plan of a study: the first seed of every network comes before the second of any.

    A precision that the recipe leaves open is that of the device that is used by default.
    """
    recipe = study.full_recipe().for_device(str(choose_device(None)))
    items: Items = (("train", None), ("test", None), *(("test", p) for p in study.all_perturbations()))
    steps: list[Step] = []
    for seed in study.seeds:
        for spec in study.specs():
            task = TrainingTask(
                network=spec,
                dataset=study.dataset.name,
                data_dir=None if data_dir is None else str(data_dir),
                train_examples=study.dataset.train_examples,
                test_examples=study.dataset.test_examples,
                recipe=recipe,
                seed=seed,
                folder=str(Path(checkpoints) / study.name),
                image_size=study.dataset.image_size,
            )
            train = TrainStep(f"train {spec.name} seed {seed}", task)
            probe = study.probe() if seed == study.seeds[0] else None
            steps += [train, EvaluateStep(f"evaluate {spec.name} seed {seed}", task, items, (train.id,), probe)]
    evaluations = tuple(step.id for step in steps if isinstance(step, EvaluateStep))
    return Plan(study, (*steps, ReportStep("report", Path(reports) / study.name, evaluations)))
