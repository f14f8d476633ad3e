"""How often the gate is wrong, and whether it finds what it says it finds: simulated checks.

python benchmarks/gate/simulate.py            # 1,000 checks for each figure
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from robustbench_zs.gate import Comparison, Entry, Rule, compare

Outcomes = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Setting:
    """A family of networks and perturbations.

    Args:
        networks, perturbations: their numbers; each network stands under each perturbation and on clean images.
        images: of each kind.
        accuracy: of every network, a fraction.
        churn: share of images whose outcome differs between two runs of one network, half of them each way.
        seeds: trainings of each network.
        again: whether they are trained again, instead of the same weights evaluated again.
        scatter: standard deviation of accuracies over seeds, a fraction.
        unlike: the networks' variances over seeds vary as the inverse of a χ² of so many degrees of freedom; infinite: not.
        shared: correlation between kinds of images of what happens to one image, and of accuracies over seeds.
    """

    networks: int = 10
    perturbations: int = 8
    images: int = 1000
    accuracy: float = 0.8
    churn: float = 0.04
    seeds: int = 1
    again: bool = False
    scatter: float = 0.01
    unlike: float = float("inf")
    shared: float = 0.5

    @property
    def label(self) -> str:
        trained = f"{self.seeds} retrained seed{'s' * (self.seeds > 1)}"
        level = trained if self.again else f"same weights, {self.churn:.1%} of outcomes differ"
        unlike = "" if np.isinf(self.unlike) else f", unlike variances ({self.unlike:g})"
        size = f"{self.networks} × {self.perturbations + 1}, {self.images} images"
        return f"{size}, {level}{unlike}"


@dataclass(frozen=True)
class Drop:
    """A true drop (a fraction): of the first network on clean images, or `everywhere` on all kinds of its images."""

    size: float = 0.0
    everywhere: bool = False


def draw(setting: Setting, drop: Drop, generator: np.random.Generator) -> tuple[list[Entry], list[Entry]]:
    """A baseline and a check."""
    before, now = [], []
    for network in range(setting.networks):
        sizes = np.zeros(setting.perturbations + 1)
        if network == 0:
            sizes[: None if drop.everywhere else 1] = drop.size
        ratio = 1.0 if np.isinf(setting.unlike) else np.sqrt(setting.unlike / generator.chisquare(setting.unlike))
        for seed in range(setting.seeds):
            if setting.again:
                sides = [_trained(setting, ratio, lost, generator) for lost in (0 * sizes, sizes)]
            else:
                sides = list(_same_weights(setting, sizes, generator))
            for entries, outcomes, digest in zip((before, now), sides, ("a", "b" if setting.again else "a"), strict=True):
                correct = {f"kind {kind}" if kind else "clean": row for kind, row in enumerate(outcomes)}
                entries.append(Entry(f"network {network}", seed, digest * 64, correct))
    return before, now


def _trained(setting: Setting, ratio: float, lost: npt.NDArray[np.float64], generator: np.random.Generator) -> Outcomes:
    """Outcomes of one training: kinds × images."""
    kinds = len(lost)
    effect = np.sqrt(setting.shared) * generator.standard_normal() + np.sqrt(1 - setting.shared) * (
        generator.standard_normal(kinds)
    )
    accuracy = setting.accuracy + setting.scatter * ratio * effect - lost
    return _uniform(setting, kinds, generator) < accuracy[:, None]


def _same_weights(
    setting: Setting, drop: npt.NDArray[np.float64], generator: np.random.Generator
) -> tuple[Outcomes, Outcomes]:
    """Outcomes then and now of the same weights: churn half each way, and the drop on top of that; kinds × images."""
    first = _uniform(setting, len(drop), generator) < setting.accuracy
    flips = _uniform(setting, len(drop), generator)
    lost = first & (flips < ((setting.churn / 2 + drop) / setting.accuracy)[:, None])
    won = ~first & (flips < setting.churn / 2 / (1 - setting.accuracy))
    return first, (first & ~lost) | won


def _uniform(setting: Setting, kinds: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """Kinds × images; between kinds so many are the same that their correlation is `shared`."""
    common, own, which = (generator.random((n, setting.images), np.float32) for n in (1, kinds, kinds))
    return np.where(which < setting.shared**0.5, common, own)


def checks(setting: Setting, rule: Rule, drop: Drop, count: int, seed: int) -> list[list[Comparison]]:
    """What simulated checks find."""
    generator = np.random.default_rng(seed)
    return [compare(*draw(setting, drop, generator), rule, power=False) for _ in range(count)]


def fails(found: list[Comparison], min_drop: float = 0.0) -> bool:
    """Whether the check ends with exit code 1 where the least drop that counts is `min_drop` points."""
    return any(c.verdict == "regression" and -c.change >= min_drop - 1e-9 for c in found)


def stated(setting: Setting, rule: Rule, count: int, seed: int) -> list[float | None]:
    """The detectable drops (fractions) that checks without a difference state for the first network on clean images."""
    generator = np.random.default_rng(seed)
    drops = [compare(*draw(setting, Drop(), generator), rule)[0].detectable for _ in range(count)]
    return [None if d is None else d / 100 for d in drops]


def power_at_stated(setting: Setting, rule: Rule, drops: list[float | None], seed: int) -> float | None:
    """How often another check finds the drop that one stated; None where one stated none."""
    generator = np.random.default_rng(seed)
    found = [
        compare(*draw(setting, Drop(drop), generator), rule, power=False)[0].verdict == "regression"
        for drop in drops
        if drop is not None
    ]
    return float(np.mean(found)) if len(found) == len(drops) else None


def by_single_tests(found: list[Comparison], rule: Rule) -> bool:
    """Whether the check would fail without the tests of all kinds together."""
    singles = [c for c in found if c.perturbation != "all together" and c.p is not None]
    return any(c.p is not None and len(singles) * c.p < rule.alpha and -c.change >= rule.min_drop for c in singles)


def share(found: list[bool]) -> str:
    """A share in percent with its 95% Wilson interval."""
    low, high = binomtest(sum(found), len(found)).proportion_ci(method="wilson")
    return f"{np.mean(found):.1%} [{100 * low:.1f}, {100 * high:.1f}]"


SETTINGS = (
    Setting(images=360, churn=0.02),
    Setting(),
    Setting(networks=1, churn=0.1),
    Setting(networks=2, perturbations=3, images=2500, churn=0.01),
    Setting(networks=1, again=True),
    Setting(again=True),
    Setting(networks=1, perturbations=1, seeds=5, again=True),
    Setting(networks=2, perturbations=3, seeds=3, again=True),
    Setting(seeds=2, again=True),
    Setting(seeds=2, again=True, unlike=8),
    Setting(networks=5, perturbations=3, seeds=5, again=True, unlike=8),
)

EVERYWHERE = (
    Setting(networks=1, images=360, shared=0.0),
    Setting(networks=1, images=360, shared=0.25),
    Setting(networks=1, images=360),
    Setting(shared=0.25),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=1000)
    count = parser.parse_args().checks
    least = Rule(min_drop=0.0)
    print("| setting | false alarms | with 1 point at least | detectable, stated | found there |")
    print("|---|--:|--:|--:|--:|")
    for setting in SETTINGS:
        made = checks(setting, least, Drop(), count, 1)
        alarms = [share([fails(c, min_drop) for c in made]) for min_drop in (0.0, 1.0)]
        drops = stated(setting, least, count, 2)
        found = power_at_stated(setting, least, drops, 3)
        known = [100 * d for d in drops if d is not None]
        typical = f"{np.median(known):.1f} points" if known else "–"
        print(
            f"| {setting.label} | {' | '.join(alarms)} | {typical} | {'–' if found is None else f'{found:.1%}'} |",
            flush=True,
        )
    print("\n| setting, two points lost everywhere | found | by single tests alone |")
    print("|---|--:|--:|")
    for setting in EVERYWHERE:
        made = checks(setting, least, Drop(0.02, everywhere=True), count, 4)
        alone = [by_single_tests(c, least) for c in made]
        kinds = f"{setting.label}, kinds correlate by {setting.shared:g}"
        print(f"| {kinds} | {share([fails(c) for c in made])} | {share(alone)} |", flush=True)


if __name__ == "__main__":
    main()
