"""Findings of studies that nobody ran: real rows of results, made from drawn outcomes of every image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import robustbench_zs as zs
from robustbench_zs.analysis import ImageOutcomes, NetworkImages
from robustbench_zs.analysis.masking import MASKING_COLUMNS, MaskingCheck, masking_rows
from robustbench_zs.evaluation.outcomes import Outcomes
from robustbench_zs.evaluation.questions import EpsSearch
from robustbench_zs.evaluation.rows import curve_row, frame_of_rows, gap_row, result_row
from robustbench_zs.evaluation.subject import Subject
from robustbench_zs.evaluation.transfer import Shown, transfer_rows
from robustbench_zs.networks import NetworkSpec
from robustbench_zs.reporting.commands import command_of
from robustbench_zs.reporting.findings import Findings, StudyFacts
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.training.header import Header, network_header

IMAGES = 200
SEARCH = EpsSearch(0.2)
PERTURBATIONS = (
    *(zs.GaussianNoise(delta) for delta in (0.1, 0.2)),
    *(zs.UniformNoise(-0.3, 0), zs.FGSM(8 / 255), zs.PGD(2 / 255, steps=10), zs.PGD(8 / 255, steps=10)),
)


def findings(
    folder: Path, networks: Sequence[NetworkSpec], seeds: int = 2, curves: bool = True, bent: bool = False
) -> Findings:
    """A study in which networks with a larger modulus are less robust; every network was also transferred to the first.

    Args:
        bent: the smallest ε is largest for a modulus of 1 instead.
    """
    draws = np.random.default_rng(0)
    rows, gaps, drawn, checks, transfers = [], [], [], [], []
    headers: list[Header] = []
    images, subjects = {}, []
    for spec in networks:
        modulus = spec.fixed_scheme.largest_modulus if spec.fixed_scheme else 1.0
        for seed in range(seeds):
            header = _header(spec, seed)
            subject = Subject.of_header(
                header, f"{len(headers):064x}", f"checkpoints/{len(headers)}.safetensors", _no_weights
            )
            clean = draws.random(IMAGES) < 0.9
            harm = np.exp(2 * abs(np.log(modulus))) if bent else max(modulus, 0.5)
            distances = np.where(clean, draws.gamma(4, 0.02 / harm, IMAGES), 0.0)
            strength = np.clip(0.9 - 0.1 * modulus + draws.normal(0, 0.05, len(PERTURBATIONS)), 0.05, 1)
            right = {p.label: clean & (draws.random(IMAGES) < s) for p, s in zip(PERTURBATIONS, strength, strict=True)}
            rows.append(result_row(subject, "digits", "test", None, _outcomes(clean), _outcomes(clean)))
            rows += [
                result_row(subject, "digits", "test", p, _outcomes(right[p.label]), _outcomes(clean)) for p in PERTURBATIONS
            ]
            gaps.append(gap_row(subject, "digits", _outcomes(draws.random(IMAGES) < 0.98), _outcomes(clean)))
            drawn.append(curve_row(subject, "digits", _outcomes(clean), distances, SEARCH))
            images[subject.digest] = NetworkImages(clean, right, distances if curves else None)
            headers.append(header)
            subjects.append(subject)
        checks += masking_rows(spec.name, 0, [MaskingCheck("zero_gradients", modulus > 3, "found"), _not_made])
        shown = Shown(_outcomes(right[PERTURBATIONS[-1].label]), _outcomes(clean))
        transfers += transfer_rows(subjects[0], [subjects[-1]], "digits", zs.FGSM(8 / 255), [shown])
    facts = StudyFacts(
        name="synthetic",
        title="A study that nobody ran",
        recipe={"epochs": 1, "weights": "last"},
        headers=headers,
        engine="native",
        again="synthetic",
        requests={p.label: command_of(p) for p in PERTURBATIONS},
    )
    attacks = frozenset(p.label for p in PERTURBATIONS if p.attacks)
    return Findings(
        folder,
        facts,
        frame_of_rows(rows),
        frame_of_rows(gaps),
        pd.DataFrame(checks, columns=MASKING_COLUMNS),
        frame_of_rows(transfers),
        frame_of_rows(drawn) if curves else pd.DataFrame(),
        ImageOutcomes(images, SEARCH.eps if curves else None, attacks if curves else frozenset()),
    )


def custom(count: int) -> list[NetworkSpec]:
    """Networks whose names are their long coefficients."""
    schemes = [MultistepScheme([f"-{i}/10007", f"{10007 + i}/10007"], "10009/10007") for i in range(1, count + 1)]
    return [NetworkSpec(scheme, 20, "basic") for scheme in schemes]


def atlas(count: int) -> list[NetworkSpec]:
    """Networks of the first schemes of the atlas."""
    return [zs.network_from_name(f"atlas-{i:03d}:depth=20,widths=8-16-32") for i in range(1, count + 1)]


_not_made = MaskingCheck("black_box_wins", None, "not made")


def _outcomes(correct: np.ndarray) -> Outcomes:
    return Outcomes(correct, np.zeros(IMAGES, np.bool_), "0" * 64)


def _header(spec: NetworkSpec, seed: int) -> Header:
    epoch = {"epoch": 1, "learning_rate": 0.1, "loss": 1.0, "train_accuracy": 98.0, "test_accuracy": 90.0, "seconds": 60.0}
    return Header.model_validate(
        {
            "format": 1,
            "network": network_header(spec, 1, 10).model_dump(mode="json"),
            "dataset": {"name": "digits", "train_digest": "0" * 64, "train_examples": 200, "image_size": (8, 8)},
            "recipe": {"epochs": 1},
            "seed": seed,
            "training_key": "",
            "execution": {"device": "cpu", "threads": 1, "layout": "contiguous_format", "processes": 1},
            "history": [epoch | {"block_parameters": None}],
            "diverged_at": None,
            "environment": {"zsbench": "0"},
        }
    )


def _no_weights() -> torch.nn.Module:
    raise AssertionError("nothing is computed here")
