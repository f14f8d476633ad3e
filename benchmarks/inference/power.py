"""What so many schemes find, and what the report says that they could have found: `python benchmarks/inference/power.py`."""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import norm

from robustbench_zs.analysis.correlation import FEWEST_FOR_A_STATEMENT
from robustbench_zs.analysis.permutation import LEVEL, joint_test


def power(
    n: int, rho: float, outcomes: int, repeats: int, draws: int, generator: np.random.Generator
) -> tuple[float, float]:
    """How often one true relation among so many outcomes is significant after the adjustment, and the mean least |ρ| for it.

    Args:
        rho: Spearman's, of normal values.
    """
    r = 2 * np.sin(np.pi * rho / 6)
    family = np.ones((1, outcomes), bool)
    found, least = 0, []
    for _ in range(repeats):
        x, y = generator.standard_normal((n, 1)), generator.standard_normal((n, outcomes))
        y[:, 0] = r * x[:, 0] + np.sqrt(1 - r**2) * y[:, 0]
        test = joint_test(x, y, [family], draws=draws)
        found += test.adjusted[0][0, 0] <= LEVEL
        least.append(test.critical[0] or 1.0)
    return found / repeats, float(np.mean(least))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--draws", type=int, default=1_999)
    options, generator = parser.parse_args(), np.random.default_rng(0)
    print("| schemes | outcomes | half | found there | four of five | found there |\n|--:|--:|--:|--:|--:|--:|")
    for n in (FEWEST_FOR_A_STATEMENT + 1, 10, 24, 40, 100, 200):
        for outcomes in (1, 12):
            half = power(n, 0.0, outcomes, 5, options.draws, generator)[1]
            most = float(np.tanh(np.arctanh(half) + norm.ppf(0.8) * ((1 + half**2 / 2) / (n - 3)) ** 0.5))
            cells = [power(n, rho, outcomes, options.repeats, options.draws, generator)[0] for rho in (half, most)]
            print(
                f"| {n} | {outcomes} | {half:.2f} | {100 * cells[0]:.0f}% | {most:.2f} | {100 * cells[1]:.0f}% |", flush=True
            )


if __name__ == "__main__":
    main()
