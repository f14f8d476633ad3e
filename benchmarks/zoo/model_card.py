"""The model card of a network of the zoo, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from robustbench_zs import Baseline, Checkpoint, wilson_interval
from robustbench_zs.networks.table import networks_table
from robustbench_zs.reporting.cells import markdown, moduli_text, verdict
from robustbench_zs.schemes.coefficients import format_coefficient
from robustbench_zs.training.header import Header, network_spec


def file_stem(network: str) -> str:
    """The name of a network as part of a file's."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", network)


def accuracy_table(baselines: Sequence[Baseline], network: str) -> str:
    """Every accuracy of a network, from the outcomes alone: with its 95% interval for the first seed, then for the others.

    Args:
        baselines: of training and test images; in the table training images come first, then the most test images.
    """
    rows = []
    for baseline in sorted(baselines, key=lambda b: (b.settings["split"] == "test", -_images(b), b.study)):
        of_seed = {e.seed: e.correct for e in baseline.entries if e.network == network}
        for name in next(iter(of_seed.values()), {}):
            counts = {seed: (int(correct[name].sum()), len(correct[name])) for seed, correct in of_seed.items()}
            percent = {seed: 100 * right / images for seed, (right, images) in counts.items()}
            first, *others = percent
            low, high = wilson_interval(*counts[first])
            clean = 100 * float(of_seed[first]["clean"].mean())
            row = {
                "Images": f"{counts[first][1]:,} {baseline.settings['split']}",
                "Perturbation": f"`{name}`",
                f"Seed {first} [95% interval]": f"{percent[first]:.2f} [{low:.2f}, {high:.2f}]",
                "Drop": "–" if name == "clean" else f"{clean - percent[first]:.2f}",
            }
            row |= {f"Seed {seed}": f"{percent[seed]:.2f}" for seed in others}
            values = list(percent.values())
            row["Mean ± std"] = f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}" if others else "–"
            rows.append(row)
    frame = pd.DataFrame(rows)
    last = frame.pop("Mean ± std")
    return markdown(frame.assign(**{"Mean ± std": last}).fillna("–"))


def _images(baseline: Baseline) -> int:
    return len(baseline.entries[0].correct["clean"])


def model_card(headers: Sequence[Header], weights: Checkpoint, baselines: Sequence[Baseline]) -> str:
    """The card of one network.

    Args:
        headers: of its seeds, the first one's first.
        weights: the file of the first seed.
        baselines: see `accuracy_table`.
    """
    first = headers[0]
    name, dataset = first.network.name, first.dataset.name
    lines = [f"# `{name}` on {dataset}", "", f'`robustbench_zs.load_model("{name}", dataset="{dataset}")`', ""]
    lines += [*(f"- {what}: {value}" for what, value in _facts(headers)), "", "## Accuracy", ""]
    lines += [
        "Accuracies are percentages and drops are percentage points, computed in float32. The intervals are "
        "Wilson's and cover only the choice of images. Under an attack, an image that is misclassified when clean counts as "
        "wrong, and a robust accuracy is an upper bound. The network was trained without adversarial examples.",
        "",
        accuracy_table(baselines, name),
        "",
        "## Weights",
        "",
        _weights(weights),
        "",
    ]
    return "\n".join(lines)


def _facts(headers: Sequence[Header]) -> list[tuple[str, str]]:
    first = headers[0]
    spec = network_spec(first.network)
    scheme = spec.fixed_scheme
    counted = networks_table([spec], first.network.channels, first.dataset.image_size[0], first.network.classes).iloc[0]
    rows = [("Network", f"{spec.depth} layers, {spec.block} blocks, {counted['parameters']:,} parameters")]
    if scheme is not None and scheme.beta is not None:
        rows += [
            ("α; β", f"{', '.join(map(format_coefficient, scheme.alphas))}; {format_coefficient(scheme.beta)}"),
            ("Moduli of the roots", moduli_text(list(scheme.moduli))),
            ("Zero-stable", verdict(scheme.zero_stable)),
        ]
    rows += [
        (
            "Training images",
            f"{first.dataset.train_examples:,} of {first.dataset.name}, `{first.dataset.train_digest[:16]}…`",
        ),
        ("Recipe", ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in first.recipe.items())),
    ]
    for header in headers:
        made = header.environment
        hardware = made.get("gpu") if str(header.execution["device"]).startswith("cuda") else made.get("processor")
        how = ", ".join(f"{key} {value}" for key, value in header.execution.items())
        diverged = "" if header.diverged_at is None else f"; the loss was not finite in epoch {header.diverged_at}"
        rows.append((f"Training of seed {header.seed}", f"{header.seconds:.1f} s on {hardware} ({how}){diverged}"))
    versions = ", ".join(f"{k} {v}" for k, v in first.environment.items() if v is not None and k not in ("processor", "gpu"))
    return [*rows, ("Versions", versions)]


def _weights(checkpoint: Checkpoint) -> str:
    size = f"`{checkpoint.path.name}`, {checkpoint.path.stat().st_size:,} bytes, digest `{checkpoint.digest}`"
    if checkpoint.header.rounded_from is None:
        return f"{size}: float32."
    origin = f"rounded from the weights `{checkpoint.header.rounded_from}`; batch-norm statistics are float32"
    return f"{size}: float16, {origin}. The accuracies above are those of the rounded weights."
