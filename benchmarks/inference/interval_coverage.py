"""How often 95% intervals hold what they estimate: `python benchmarks/inference/interval_coverage.py`."""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt

from robustbench_zs.analysis.correlation import correlation_interval, spearman
from robustbench_zs.analysis.effect_size import effect_size
from robustbench_zs.analysis.leads import critical_of_leads, lead_interval

Floats = npt.NDArray[np.float64]


def true_rho(r: float) -> float:
    """Spearman's ρ of two normal variables with Pearson's r (Pearson 1907)."""
    return float(6 / np.pi * np.arcsin(r / 2))


def of_correlations(n: int, r: float, repeats: int, generator: np.random.Generator) -> float:
    """Coverage of the interval of Spearman's ρ over n schemes whose values are normal with correlation r."""
    hits = 0
    for _ in range(repeats):
        x, noise = generator.standard_normal((2, n, 1))
        low, high = correlation_interval(float(spearman(x, r * x + np.sqrt(1 - r**2) * noise)[0, 0]), n)
        hits += low <= true_rho(r) <= high or np.isnan(low)  # where |ρ| is 1 no interval is given
    return hits / repeats


def of_shifts(m: int, n: int, repeats: int, generator: np.random.Generator) -> float:
    """Coverage of the interval of the Hodges–Lehmann shift, sides of m and n schemes with heavy tails, true shift 1."""
    hits = 0
    for _ in range(repeats):
        found = effect_size(generator.standard_t(3, m) + 1, generator.standard_t(3, n))
        hits += found.shift_low is None or found.shift_high is None or found.shift_low <= 1 <= found.shift_high
    return hits / repeats


def leads(n: int, correlations: Floats, between: float, repeats: int, generator: np.random.Generator) -> tuple[float, float]:
    """Coverage of the lead of the first of K predictors over the second, and of the leads of all pairs together.

    Args:
        correlations: K, Pearson's r of each predictor with the outcome.
        between: of the predictors with each other.
    """
    k = len(correlations)
    covariance = np.full((k + 1, k + 1), between)
    covariance[:k, k] = covariance[k, :k] = correlations
    np.fill_diagonal(covariance, 1)
    root = np.linalg.cholesky(covariance)
    truth = [true_rho(r) for r in correlations]
    single = together = 0
    for _ in range(repeats):
        values = generator.standard_normal((n, k + 1)) @ root.T
        rho, among = spearman(values[:, :k], values[:, k:])[:, 0], spearman(values[:, :k], values[:, :k])
        low, high = lead_interval(rho[0], rho[1], among[0, 1], n, 1.96)
        single += low <= truth[0] - truth[1] <= high
        critical = critical_of_leads(rho, among)
        inside = []
        for i in range(k):
            for j in range(i):
                low, high = lead_interval(rho[i], rho[j], among[i, j], n, critical)
                inside.append(low <= truth[i] - truth[j] <= high)
        together += all(inside)
    return single / repeats, together / repeats


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=10_000)
    repeats = parser.parse_args().repeats
    generator = np.random.default_rng(0)
    print("| schemes | r = 0 | .3 | .6 | .8 |\n|--:|--:|--:|--:|--:|")
    for n in (9, 10, 24, 40, 200):
        cells = [of_correlations(n, r, repeats, generator) for r in (0.0, 0.3, 0.6, 0.8)]
        print(f"| {n} | " + " | ".join(f"{100 * c:.1f}%" for c in cells) + " |", flush=True)
    print("\n| sides | coverage of the shift |\n|---|--:|")
    for m, n in ((4, 6), (5, 5), (8, 16), (30, 70)):
        print(f"| {m} and {n} | {100 * of_shifts(m, n, repeats // 2, generator):.1f}% |", flush=True)
    print("\n| schemes | r of the predictors | with each other | one lead | all leads together |\n|--:|---|--:|--:|--:|")
    for n, rs, between in (
        (40, (0.6, 0.6), 0.5),
        (40, (0.7, 0.4), 0.7),
        (100, (0.7, 0.55), 0.6),
        (200, (0.7, 0.55, 0.5, 0.3, 0.6, 0.4, 0.2), 0.4),
        (200, (0.0, 0.0, 0.0), 0.5),
    ):
        one, every = leads(n, np.array(rs), between, repeats // 10, generator)
        words = ", ".join(f"{r:g}" for r in rs)
        print(f"| {n} | {words} | {between} | {100 * one:.1f}% | {100 * every:.1f}% |", flush=True)


if __name__ == "__main__":
    main()
