"""How often the gate is wrong: simulated checks with no true difference, and with a drop twice the detectable one.

python benchmarks/gate/simulate.py            # 1,000 checks each, about two minutes
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robustbench_zs.gate import Entry, Rule, compare

Outcomes = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Setting:
    """A family of networks and perturbations.

    Args:
        networks, perturbations: their numbers; each network stands under each perturbation and on clean images.
        images: a comparison.
        accuracy: of every network, a fraction.
        noise: share of images whose outcome differs between two runs of one network, half of them each way.
        seeds: 1 compares weights; more train again, with accuracies that scatter by `scatter` (a fraction) over seeds.
    """

    networks: int = 10
    perturbations: int = 8
    images: int = 1000
    accuracy: float = 0.8
    noise: float = 0.04
    seeds: int = 1
    scatter: float = 0.01

    @property
    def label(self) -> str:
        level = f"{self.seeds} seeds" if self.seeds > 1 else f"{self.noise:.0%} of outcomes differ"
        return f"{self.networks} networks, {self.perturbations + 1} kinds of images, {self.images} images, {level}"


def draw(setting: Setting, drop: float, generator: np.random.Generator) -> tuple[list[Entry], list[Entry]]:
    """A baseline and a check; the first network has truly lost `drop` (a fraction) on clean images."""
    before, now = [], []
    for network in range(setting.networks):
        for seed in range(setting.seeds):
            sides: tuple[dict[str, Outcomes], dict[str, Outcomes]] = ({}, {})
            for kind in range(setting.perturbations + 1):
                lost = drop if network == 0 and kind == 0 else 0.0
                label = "clean" if kind == 0 else f"kind {kind}"
                for side, outcomes in zip(sides, pair(setting, lost, generator), strict=True):
                    side[label] = outcomes
            for entries, correct, digest in ((before, sides[0], "a"), (now, sides[1], "b")):
                entries.append(Entry(f"network {network}", seed, digest * 64, correct))
    return before, now


def pair(setting: Setting, drop: float, generator: np.random.Generator) -> tuple[Outcomes, Outcomes]:
    """Outcomes then and now of one network."""
    n = setting.images
    if setting.seeds > 1:
        accuracies = setting.accuracy + setting.scatter * generator.standard_normal(2) - np.array([0.0, drop])
        first, second = (generator.random(n) < a for a in accuracies.clip(0, 1))
        return first, second
    first = generator.random(n) < setting.accuracy
    # The outcomes that differ: half of them each way, and the drop on top of that, or in place of it where it is larger.
    differing = max(setting.noise, drop)
    worse, better = (differing + drop) / 2, (differing - drop) / 2
    flips = generator.random(n)
    lost = first & (flips < worse / setting.accuracy)
    won = ~first & (flips < better / (1 - setting.accuracy))
    return first, (first & ~lost) | won


def failures(setting: Setting, rule: Rule, drop: float, checks: int, seed: int) -> Iterator[bool]:
    """Whether each of `checks` simulated checks fails."""
    generator = np.random.default_rng(seed)
    for _ in range(checks):
        yield any(c.verdict == "regression" for c in compare(*draw(setting, drop, generator), rule, power=False))


def typical_detectable(setting: Setting, rule: Rule, seed: int) -> float | None:
    """The largest detectable drop (a fraction) that a check without a difference states; None if one finds none."""
    found = [c.detectable for c in compare(*draw(setting, 0.0, np.random.default_rng(seed)), rule)]
    return None if None in found else max(d for d in found if d is not None) / 100


SETTINGS = (
    Setting(images=360, noise=0.02),
    Setting(),
    Setting(networks=1, noise=0.1),
    Setting(networks=2, perturbations=3, images=10_000, noise=0.03),
    Setting(networks=2, perturbations=3, seeds=3, images=1000),
    Setting(networks=1, perturbations=1, seeds=5, images=1000),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=1000)
    checks = parser.parse_args().checks
    print("| setting | least drop | false alarms | detectable | twice that is found |")
    print("|---|--:|--:|--:|--:|")
    for setting in SETTINGS:
        for rule in (Rule(min_drop=0.0), Rule()):
            alarms = sum(failures(setting, rule, 0.0, checks, 1)) / checks
            detectable = typical_detectable(setting, rule, 2)
            if detectable is None or 2 * detectable > setting.accuracy:
                found = "–"
            else:
                found = f"{sum(failures(setting, rule, 2 * detectable, checks, 3)) / checks:.1%}"
            stated = "–" if detectable is None else f"{100 * detectable:.1f} points"
            print(f"| {setting.label} | {rule.min_drop:g} | {alarms:.1%} | {stated} | {found} |", flush=True)


if __name__ == "__main__":
    main()
