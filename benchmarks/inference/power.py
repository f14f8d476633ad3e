"""What so many schemes find, and what the report says that they could have found: `python benchmarks/inference/power.py`."""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import norm
from worlds import networks, outcomes_of, scheme_of

from robustbench_zs.analysis import Conclusions, conclude


def one_relation(n: int, rho: float, generator: np.random.Generator, draws: int) -> Conclusions:
    """A study of n schemes in which one of ten outcomes of robustness goes with the largest modulus.

    Args:
        rho: Spearman's, about.
    """
    names = networks(n)
    moduli = np.array([scheme_of(name).largest_modulus for name in names])
    normal = norm.ppf((np.argsort(np.argsort(moduli)) + 0.5) / n)  # a normal value for each rank
    values = generator.standard_normal((n, 12))
    r = 2 * np.sin(np.pi * rho / 6)
    values[:, 2] = r * normal + np.sqrt(1 - r**2) * values[:, 2]
    return conclude(outcomes_of(names, values, 0.1, generator), draws)


def power(n: int, rho: float, repeats: int, generator: np.random.Generator, draws: int = 999) -> float:
    """How often the relation is stated."""
    found = [one_relation(n, rho, generator, draws).modulus["finding"].iloc[2] for _ in range(repeats)]
    return float(np.mean([finding.startswith("established") for finding in found]))


def said(n: int, generator: np.random.Generator, draws: int = 9_999) -> tuple[float, float]:
    """The ρ that are found in about half and in four of five cases, as the report has them; see `power_sentences`."""
    half = one_relation(n, 0.0, generator, draws).critical["robustness"] or 1.0
    return half, float(np.tanh(np.arctanh(half) + norm.ppf(0.8) * ((1 + half**2 / 2) / (n - 3)) ** 0.5))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=300)
    options, generator = parser.parse_args(), np.random.default_rng(0)
    print("| schemes | ρ said for half | found | ρ said for four of five | found |\n|--:|--:|--:|--:|--:|")
    for n in (8, 10, 24, 40, 100):
        cells = [f"{rho:.2f} | {100 * power(n, rho, options.repeats, generator):.0f}%" for rho in said(n, generator)]
        print(f"| {n} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
