"""Text alternatives: what the figures of a report show, in words and numbers, for readers who cannot see them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from robustbench_zs.analysis.network_outcomes import ROBUSTNESS
from robustbench_zs.analysis.predictors import LARGEST_MODULUS
from robustbench_zs.analysis.summary import CLEAN, by_scheme, with_largest_modulus
from robustbench_zs.schemes import MultistepScheme

CLASS_NAMES = {
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "fashion-mnist": ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"),
}
"""Names of classes by dataset; for all others the number of the class stands for it."""

MAX_ITEMS = 12
"""A text alternative that goes on for longer is cut; the tables have everything."""


def accuracy_text(results: pd.DataFrame) -> str:
    """The figure of accuracy against noise level."""
    ranges = [
        f"{label} {group['mean'].min():.1f} to {group['mean'].max():.1f}%"
        for label, group in by_scheme(results, "accuracy").groupby("perturbation", sort=False)
    ]
    return f"Accuracy against the level of noise or attack, one line per network. Over networks: {_listed(ranges)}."


def robustness_text(outcomes: pd.DataFrame) -> str:
    """The figure of robustness against the largest modulus."""
    frame = with_largest_modulus(outcomes[outcomes["family"] == ROBUSTNESS]).dropna(subset=["largest_modulus"])
    ranges = [
        f"{outcome} {points['value'].min():.4g} to {points['value'].max():.4g}"
        for outcome, points in frame.groupby("outcome", sort=False)
    ]
    low, high = frame["largest_modulus"].min(), frame["largest_modulus"].max()
    return f"Robustness against the largest root modulus, {low:.2f} to {high:.2f}, one panel per outcome: {_listed(ranges)}."


def roots_text(results: pd.DataFrame) -> str:
    """The figure of clean accuracy by root pattern."""
    clean = results[(results["perturbation"] == CLEAN) & results["moduli"].notna()]
    by_pattern = clean.assign(pattern=[", ".join(f"{m:.2f}" for m in moduli) for moduli in clean["moduli"]])
    items = [f"moduli {pattern}: {mean:.1f}%" for pattern, mean in by_pattern.groupby("pattern")["accuracy"].mean().items()]
    return f"Clean accuracy by the moduli of the roots. {_listed(items)}."


def plane_text(schemes: Mapping[str, MultistepScheme]) -> str:
    """The figure of roots in the complex plane."""
    items = [
        f"{name}, {'zero-stable' if scheme.zero_stable else 'not zero-stable'}, roots "
        + ", ".join(f"{r.real:.2f}{r.imag:+.2f}i" if abs(r.imag) > 1e-9 else f"{r.real:.2f}" for r in scheme.roots)
        for name, scheme in schemes.items()
    ]
    return f"Characteristic roots in the complex plane with the unit circle. {_listed(items)}."


def answer_text(points: pd.DataFrame, outcome: str) -> str:
    """The figure of one outcome against the largest modulus."""
    points = points.sort_values(LARGEST_MODULUS)
    items = [f"{r['network']} at {r[LARGEST_MODULUS]:.2f}: {r['value']:.4g}" for _, r in points.iterrows()]
    return f"{outcome} against the largest root modulus. {_listed(items)}."


def curves_text(curves: pd.DataFrame) -> str:
    """The figure of robust accuracy against ε."""
    items = []
    for network, group in curves.groupby("network", sort=False):
        accuracy = np.array(group["robust_accuracy"].tolist()).mean(0)
        eps, half = group["eps"].iloc[0], len(accuracy) // 2
        items.append(f"{network} {accuracy[0]:.1f}% clean, {accuracy[half]:.1f}% at ε = {eps[half]:.3g}")
    return f"Robust accuracy against ε, one line per network. {_listed(items)}."


def examples_text(examples: pd.DataFrame) -> str:
    """The figure of example images."""
    items = []
    for (network, image), group in examples.groupby(["network", "image"], sort=False):
        dataset = str(group["dataset"].iloc[0])
        answers = [f"{r['perturbation']} {class_name(dataset, r['predicted'])}" for _, r in group.iterrows()]
        items.append(
            f"{network}, image {image}, a {class_name(dataset, group['label'].iloc[0])}, taken for: {', '.join(answers)}"
        )
    return f"Test images, clean and perturbed, with the predicted classes. {_listed(items)}."


def _listed(items: list[str]) -> str:
    cut = f"; and {len(items) - MAX_ITEMS} more" if len(items) > MAX_ITEMS else ""
    return "; ".join(items[:MAX_ITEMS]) + cut


def class_name(dataset: str, label: int | None) -> str:
    """The name of a class where the dataset has names, else its number; `none` where the network gave no answer."""
    names = CLASS_NAMES.get(dataset, ())
    return "none" if pd.isna(label) else names[int(label)] if int(label) < len(names) else str(int(label))
