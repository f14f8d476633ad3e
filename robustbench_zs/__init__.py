"""zsbench: a robustness benchmark for convolutional networks read as linear multistep methods.

Everything public is here by name and imported when it is first used, so `import robustbench_zs` is fast and the schemes
work without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robustbench_zs.analysis import conclude, degradation_by_verdict, network_outcomes, rank_correlation
    from robustbench_zs.analysis.check_masking import masking
    from robustbench_zs.datasets import Dataset, LabelledImages, dataset_of_arrays, load_dataset
    from robustbench_zs.errors import RequestError, UnfinishedError, ZsbenchError
    from robustbench_zs.evaluation import (
        Model,
        ResultsStore,
        attack,
        corruptions,
        evaluate,
        expected_accuracy,
        gap,
        mean_corruption_error,
        measure,
        robustness_curve,
        save_examples,
        transfer_attack,
        wilson_interval,
    )
    from robustbench_zs.gate import Baseline, Rule, compare_networks, read_baseline
    from robustbench_zs.networks import NetworkSpec, network_from_name
    from robustbench_zs.networks.multistep import MultistepResNet
    from robustbench_zs.perturbations import (
        APGD,
        FAB,
        FGSM,
        PGD,
        AutoAttack,
        ConstantNoise,
        GaussianNoise,
        Perturbation,
        Square,
        TargetedAPGD,
        UniformNoise,
    )
    from robustbench_zs.schemes import MultistepScheme, catalog, one_step, scheme_from_name, third_order, two_step
    from robustbench_zs.schemes.table import atlas, roots_table
    from robustbench_zs.studies.archive import pack, unpack
    from robustbench_zs.studies.check import check, make_baseline
    from robustbench_zs.studies.load import load_study
    from robustbench_zs.studies.plan import make_plan
    from robustbench_zs.studies.run import report, run_study, train_study
    from robustbench_zs.studies.study import Study
    from robustbench_zs.training import Checkpoint, Recipe, load_model, read_checkpoint, recipe_from_name, train

__version__ = "0.1.0"

_HOMES = {
    "analysis": ("conclude", "degradation_by_verdict", "network_outcomes", "rank_correlation"),
    "analysis.check_masking": ("masking",),
    "datasets": ("Dataset", "LabelledImages", "dataset_of_arrays", "load_dataset"),
    "errors": ("RequestError", "UnfinishedError", "ZsbenchError"),
    "gate": ("Baseline", "Rule", "compare_networks", "read_baseline"),
    "evaluation": (
        "Model",
        "ResultsStore",
        "attack",
        "corruptions",
        "evaluate",
        "expected_accuracy",
        "gap",
        "mean_corruption_error",
        "measure",
        "robustness_curve",
        "save_examples",
        "transfer_attack",
        "wilson_interval",
    ),
    "networks": ("NetworkSpec", "network_from_name"),
    "networks.multistep": ("MultistepResNet",),
    "perturbations": (
        "APGD",
        "FAB",
        "FGSM",
        "PGD",
        "AutoAttack",
        "ConstantNoise",
        "GaussianNoise",
        "Perturbation",
        "Square",
        "TargetedAPGD",
        "UniformNoise",
    ),
    "schemes": ("MultistepScheme", "catalog", "one_step", "scheme_from_name", "third_order", "two_step"),
    "schemes.table": ("atlas", "roots_table"),
    "studies.archive": ("pack", "unpack"),
    "studies.check": ("check", "make_baseline"),
    "studies.load": ("load_study",),
    "studies.plan": ("make_plan",),
    "studies.run": ("report", "run_study", "train_study"),
    "studies.study": ("Study",),
    "training": ("Checkpoint", "Recipe", "load_model", "read_checkpoint", "recipe_from_name", "train"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "APGD",
    "FAB",
    "FGSM",
    "PGD",
    "AutoAttack",
    "Baseline",
    "Checkpoint",
    "ConstantNoise",
    "Dataset",
    "GaussianNoise",
    "LabelledImages",
    "Model",
    "MultistepResNet",
    "MultistepScheme",
    "NetworkSpec",
    "Perturbation",
    "Recipe",
    "RequestError",
    "ResultsStore",
    "Rule",
    "Square",
    "Study",
    "TargetedAPGD",
    "UnfinishedError",
    "UniformNoise",
    "ZsbenchError",
    "atlas",
    "attack",
    "catalog",
    "check",
    "compare_networks",
    "conclude",
    "corruptions",
    "dataset_of_arrays",
    "degradation_by_verdict",
    "evaluate",
    "expected_accuracy",
    "gap",
    "load_dataset",
    "load_model",
    "load_study",
    "make_baseline",
    "make_plan",
    "masking",
    "mean_corruption_error",
    "measure",
    "network_from_name",
    "network_outcomes",
    "one_step",
    "pack",
    "rank_correlation",
    "read_baseline",
    "read_checkpoint",
    "recipe_from_name",
    "report",
    "robustness_curve",
    "roots_table",
    "run_study",
    "save_examples",
    "scheme_from_name",
    "third_order",
    "train",
    "train_study",
    "transfer_attack",
    "two_step",
    "unpack",
    "wilson_interval",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'robustbench_zs' has no attribute {name!r}")
    return getattr(importlib.import_module(f"robustbench_zs.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
