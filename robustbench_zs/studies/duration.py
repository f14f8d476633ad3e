"""Estimates how long a study trains, from its size and a measured rate; nothing is measured here."""

from __future__ import annotations

from robustbench_zs.datasets.known import KNOWN, OTHER
from robustbench_zs.networks.spec import NetworkSpec, stages_of
from robustbench_zs.studies.study import Study

RATE = 5.6e10
"""Multiply-adds per second of training on two cores: 456 images per second of 3 · 40.8 million (`benchmarks/speed`, one
network of 20 layers in float32)."""

LAYER = 1.5e-4
"""Seconds per layer and step that networks of any size take on two cores: 15 s for 2 · 900 steps of 56 layers on digits."""

_MULTIPLIES = {"basic": 18, "bottleneck": 17}
"""Per pixel and squared width of a block: two 3×3 convolutions, or one between two 1×1 to and from four widths."""


def training_seconds(study: Study) -> float | None:
    """Seconds of training on two cores, an estimate within a factor of about two; None for images of the user's own.

    Attacks and noise come on top, and take a part of that at ten steps of PGD, or several times it with AutoAttack.
    """
    dataset = study.trained_on()
    known = KNOWN.get(dataset.name, OTHER)
    if known.shape is None:
        return None
    images, side = dataset.train_examples or known.examples["train"], known.shape[1]
    recipe, specs = study.full_recipe(), study.specs()
    steps = -(-images // recipe.batch_size)
    each = sum(max(images * 3 * multiply_adds(spec, side) / RATE, steps * spec.depth * LAYER) for spec in specs) / len(specs)
    return recipe.epochs * each * study.size


def multiply_adds(spec: NetworkSpec, side: int) -> float:
    """Of the blocks of a network for an image of `side`×`side`, all but a few percent of the whole."""
    first = side / (1 if spec.form == "cifar" else 4)
    stages = zip(stages_of(spec.depth, spec.block, spec.form), spec.widths, strict=True)
    each = (blocks * _MULTIPLIES[spec.block] * width**2 * (first / 2**i) ** 2 for i, (blocks, width) in enumerate(stages))
    return float(sum(each))


def in_words(seconds: float) -> str:
    """`about 3 min`, `about 5 h`, `about 12 days`."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"about {seconds / length:,.0f} {unit}"
    return "about a minute" if seconds > 20 else "under a minute"
