"""Simulated studies in which it is known what is related to what."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from robustbench_zs.analysis import ImageOutcomes, NetworkImages, network_outcomes
from robustbench_zs.networks.spec import network_from_name
from robustbench_zs.schemes import MultistepScheme

Floats = npt.NDArray[np.float64]

TABLE_10 = [f"table10-{i}:depth=56" for i in range(1, 11)]


def networks(schemes: int, seed: int = 0) -> list[str]:
    """The first schemes of Table 10; beyond ten, random ones of orders 1 to 3 with roots from 0.3 to 2."""
    if schemes <= len(TABLE_10):
        # One of each side by turns, so that few schemes have both.
        return [TABLE_10[i] for i in (0, 9, 1, 8, 2, 7, 3, 6, 4, 5)][:schemes]
    generator = np.random.default_rng(seed)
    names = []
    for _ in range(schemes):
        roots = generator.choice([-1, 1], generator.integers(1, 4)) * generator.uniform(0.3, 1, 1) ** 0.5
        roots[0] = generator.uniform(0.3, 2) if generator.random() < 0.6 else 1.0
        alphas = " ".join(f"{-c:.6f}" for c in np.poly(roots)[1:])
        names.append(f"multistep:alphas={alphas},beta={generator.uniform(0.2, 4):.6f},depth=56")
    return names


@cache
def scheme_of(name: str) -> MultistepScheme:
    scheme = network_from_name(name).fixed_scheme
    assert scheme is not None
    return scheme


def outcomes_of(
    names: list[str], values: Floats, noise: float, generator: np.random.Generator, seeds: int = 2
) -> pd.DataFrame:
    """Outcomes as `network_outcomes` gives them, from one value per scheme and outcome.

    Args:
        values: schemes × outcomes; the first two are clean accuracy and generalization gap.
        noise: standard deviation between seeds.
    """
    schemes, outcomes = values.shape
    drawn = values[:, None, :] + noise * generator.standard_normal((schemes, seeds, outcomes))
    shared = drawn + 0.3 * noise * generator.standard_normal(drawn.shape)
    of_network = [scheme_of(name) for name in names]
    kinds = ["clean accuracy", "generalization gap"] + ["share lost"] * (outcomes - 2)
    labels = kinds[:2] + [f"share lost, noise({j})" for j in range(2, outcomes)]
    return pd.DataFrame(
        {
            "network": np.repeat(names, seeds * outcomes),
            "seed": np.tile(np.repeat(np.arange(seeds), outcomes), schemes),
            "moduli": [list(s.moduli) for s in of_network for _ in range(seeds * outcomes)],
            "zero_stable": [s.zero_stable for s in of_network for _ in range(seeds * outcomes)],
            "outcome": labels * (schemes * seeds),
            "kind": kinds * (schemes * seeds),
            "family": (["clean images"] * 2 + ["robustness"] * (outcomes - 2)) * (schemes * seeds),
            "value": drawn.ravel(),
            "shared": shared.ravel(),
            "clean_accuracy": np.repeat(drawn[:, :, 0].ravel(), outcomes),
        }
    )


def unrelated(names: list[str], generator: np.random.Generator, outcomes: int = 12, between: float = 1.0) -> pd.DataFrame:
    """Schemes differ, in outcomes that go with one another, and nothing goes with the coefficients.

    Args:
        between: standard deviation between schemes, where that between seeds is 0.5; 0 for outcomes without any difference.
    """
    quality = generator.standard_normal((len(names), 1))
    own = generator.standard_normal((len(names), outcomes))
    return outcomes_of(names, between * (0.7 * quality + 0.7 * own), 0.5, generator)


def same_share_lost(
    names: list[str], generator: np.random.Generator, images: int = 500, perturbations: int = 10
) -> pd.DataFrame:
    """Clean accuracy falls with the largest modulus, and of what a network has right all lose alike, but for chance.

    Image by image: every network loses each image that it has right with the same probability, up to a deviation of its
    scheme that has nothing to do with its coefficients.
    """
    ability = -np.log([scheme_of(name).largest_modulus for name in names]) + 0.2 * generator.standard_normal(len(names))
    difficulty = 1.5 * generator.standard_normal(images)
    lost = generator.uniform(0.1, 0.9, perturbations) + 0.05 * generator.standard_normal((len(names), perturbations))
    rows, gaps, found = [], [], {}
    for i, name in enumerate(names):
        scheme = scheme_of(name)
        for seed in range(2):
            clean = ability[i] + 0.1 * generator.standard_normal() + generator.standard_normal(images) > difficulty
            digest, accuracy = f"{i}-{seed}", 100 * float(clean.mean())
            facts = {"network": name, "digest": digest, "seed": seed, "moduli": list(scheme.moduli)}
            facts |= {"zero_stable": scheme.zero_stable, "engine": None, "classes": 10, "clean_accuracy": accuracy}
            rows.append(facts | {"perturbation": "clean", "accuracy": accuracy, "drop": 0.0})
            gaps.append(facts | {"gap": generator.normal(), "test_accuracy": accuracy})
            under = {}
            for j in range(perturbations):
                under[f"noise({j})"] = right = clean & (generator.random(images) > lost[i, j])
                now = 100 * float(right.mean())
                rows.append(facts | {"perturbation": f"noise({j})", "accuracy": now, "drop": accuracy - now})
            found[digest] = NetworkImages(clean, under)
    return network_outcomes(pd.DataFrame(rows), pd.DataFrame(gaps), ImageOutcomes(found))
