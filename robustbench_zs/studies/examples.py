"""A few test images as two networks of a study see them, clean and perturbed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from robustbench_zs.evaluation.outcomes import evaluation_mode
from robustbench_zs.perturbations import Perturbation
from robustbench_zs.studies.plan import EvaluateStep, Plan
from robustbench_zs.training.header import network_spec

if TYPE_CHECKING:
    from robustbench_zs.studies.status import KnownNetwork

IMAGES = 3
MAX_PERTURBATIONS = 5


def make_examples(
    plan: Plan, known: Mapping[str, KnownNetwork], correct: Mapping[str, npt.NDArray[np.bool_]]
) -> tuple[pd.DataFrame, npt.NDArray[np.float32]] | None:
    """The first test images that both networks classify correctly when clean, under the last of each kind of perturbation.

    The networks are the first zero-stable one and the first that is not, each with its first seed.

    Args:
        known: the networks by step; those whose weights are gone cannot be shown.
        correct: by step, N, whether each clean test image is classified correctly.

    Returns:
        One row a picture: `digest, network, dataset, image, label, perturbation, predicted` (null where the logits are not
        finite), and the pictures, N×C×H×W; None where no network has its weights.
    """
    steps = _two_networks(plan, known)
    if not steps:
        return None
    both = np.logical_and.reduce([correct[step.id] for step in steps])
    chosen = np.flatnonzero(both)[:IMAGES]
    if len(chosen) < IMAGES:
        chosen = np.arange(min(IMAGES, len(both)))
    shown: dict[str, Perturbation] = {p.kind: p for p in plan.study.all_perturbations() if p.answers == 1}
    rows, pictures = [], []
    for step in steps:
        checkpoint = known[step.id].checkpoint
        assert checkpoint is not None
        dataset = step.task.load_dataset()
        indices = torch.from_numpy(chosen)
        images, labels = dataset.test.images(indices), dataset.test.labels[indices]
        network = checkpoint.network()
        with evaluation_mode(network):
            changed = {"clean": images} | {
                p.label: p(network, images, labels, indices) for p in list(shown.values())[-MAX_PERTURBATIONS:]
            }
            with torch.no_grad():
                logits = {label: network(batch) for label, batch in changed.items()}
        for row, index in enumerate(chosen.tolist()):
            for label, batch in changed.items():
                finite = bool(torch.isfinite(logits[label][row]).all())
                rows.append(
                    {
                        "digest": checkpoint.digest,
                        "network": checkpoint.header.network.name,
                        "dataset": dataset.name,
                        "image": index,
                        "label": int(labels[row]),
                        "perturbation": label,
                        "predicted": int(logits[label][row].argmax()) if finite else None,
                    }
                )
                pictures.append(batch[row].numpy())
    return pd.DataFrame(rows).astype({"predicted": "Int64"}), np.stack(pictures)


def _two_networks(plan: Plan, known: Mapping[str, KnownNetwork]) -> list[EvaluateStep]:
    """The first step with weights of each verdict; without any verdict (trainable, ResNet) the first of all."""
    found: dict[bool | None, EvaluateStep] = {}
    for step in plan.evaluations:
        if step.id in known and known[step.id].checkpoint is not None:
            scheme = network_spec(known[step.id].header.network).fixed_scheme
            found.setdefault(scheme.zero_stable if scheme else None, step)
    return [found[v] for v in (True, False) if v in found] or list(found.values())
