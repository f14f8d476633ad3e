"""Time and memory of the whole analysis of many schemes: `python benchmarks/inference/analysis_speed.py`."""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import pandas as pd
from worlds import networks, scheme_of

from robustbench_zs.analysis import ImageOutcomes, NetworkImages, conclude, network_outcomes
from robustbench_zs.analysis.words import summary_sentences


def study(schemes: int, images: int, perturbations: int) -> tuple[pd.DataFrame, pd.DataFrame, ImageOutcomes]:
    """Results, gaps and outcomes image by image of random schemes, with a search of the smallest ε."""
    generator = np.random.default_rng(0)
    rows, gaps, found = [], [], {}
    for i, name in enumerate(networks(schemes)):
        scheme = scheme_of(name)
        facts = {"network": name, "digest": str(i), "seed": 0, "moduli": list(scheme.moduli), "engine": None, "classes": 10}
        facts |= {"zero_stable": scheme.zero_stable}
        clean = generator.random(images) < generator.uniform(0.3, 0.9)
        accuracy = 100 * float(clean.mean())
        under = {f"noise({j})": clean & (generator.random(images) < 0.8) for j in range(perturbations)}
        found[str(i)] = NetworkImages(clean, under, np.where(clean, generator.exponential(0.1, images), 0))
        facts["clean_accuracy"] = accuracy
        rows.append(facts | {"perturbation": "clean", "accuracy": accuracy, "drop": 0.0})
        for label, right in under.items():
            rows.append(
                facts | {"perturbation": label, "accuracy": 100 * right.mean(), "drop": accuracy - 100 * right.mean()}
            )
        gaps.append(facts | {"gap": generator.normal(), "test_accuracy": accuracy})
    return pd.DataFrame(rows), pd.DataFrame(gaps), ImageOutcomes(found, 0.3)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--schemes", type=int, default=800)
    parser.add_argument("--images", type=int, default=1000)
    options = parser.parse_args()
    results, gaps, images = study(options.schemes, options.images, 11)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    steps = [time.process_time()]
    outcomes = network_outcomes(results, gaps, images)
    steps.append(time.process_time())
    conclusions = conclude(outcomes)
    steps.append(time.process_time())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print("\n".join(summary_sentences(conclusions)))
    print(
        f"{options.schemes} schemes: outcomes {steps[1] - steps[0]:.1f} s, conclusions {steps[2] - steps[1]:.1f} s of "
        f"processor time; peak memory of the process {peak / 1024:.0f} MB, {before / 1024:.0f} MB before the analysis"
    )


if __name__ == "__main__":
    main()
