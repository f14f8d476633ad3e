"""Whether networks got worse: exact tests on the same images, corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from robustbench_zs.errors import RequestError
from robustbench_zs.gate.baseline import Entry
from robustbench_zs.gate.power import detectable_by_images, detectable_by_seeds

Verdict = Literal["regression", "worse within noise", "unchanged", "improved"]
Level = Literal["images", "seeds"]


@dataclass(frozen=True)
class Rule:
    """When a drop counts as a regression.

    Args:
        alpha: probability that a check fails though no network got worse, over all comparisons together.
        min_drop: points; a smaller drop is no regression, however certain.

    Raises:
        RequestError: a value out of range.

    Examples:
        >>> zs.Rule(alpha=0.01, min_drop=2).min_drop
        2
    """

    alpha: float = 0.05
    min_drop: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise RequestError(f"alpha lies between 0 and 1, not {self.alpha!r}")
        if not 0 <= self.min_drop <= 100:
            raise RequestError(f"the minimal drop lies between 0 and 100 points, not {self.min_drop!r}")


@dataclass(frozen=True)
class Comparison:
    """One network, or the seeds of one recipe, under one perturbation, then and now.

    `before`, `now` are accuracies in percent, `change` = now − before in points; `worse` and `better` count the images that
    were right then and are wrong now, and the reverse; `p` is one-sided for having got worse, `adjusted_p` after Holm's
    correction; `detectable` is the smallest drop in points that this rule finds with 80% power, None if it finds none.
    """

    network: str
    seed: int | None
    perturbation: str
    level: Level
    images: int
    before: float
    now: float
    worse: int | None
    better: int | None
    p: float
    adjusted_p: float
    verdict: Verdict
    detectable: float | None

    @property
    def change(self) -> float:
        """Points."""
        return self.now - self.before


@dataclass(frozen=True)
class _Test:
    """A comparison before the correction."""

    network: str
    seed: int | None
    perturbation: str
    level: Level
    before: list[npt.NDArray[np.bool_]]
    now: list[npt.NDArray[np.bool_]]
    p_worse: float
    p_better: float


def compare(before: Sequence[Entry], now: Sequence[Entry], rule: Rule, power: bool = True) -> list[Comparison]:
    """Compare networks pair by pair, clean images and every perturbation.

    Where a recipe was trained again (several seeds on both sides, none with the weights it had), its seeds are compared by
    Welch's one-sided t-test over accuracies; otherwise these very weights are, image by image, by McNemar's exact one-sided
    test. Regression: adjusted p below alpha and at least the minimal drop; improved mirrors it; worse within noise: any
    other drop; else unchanged. Holm's correction runs over all comparisons.

    Args:
        before, now: as many networks in the same order.
        power: whether to compute what could have been detected, which takes longer than the rest.
    """
    tests = [test for pair in _groups(before, now) for test in _tests(*pair)]
    worse, better = (holm([getattr(t, name) for t in tests]) for name in ("p_worse", "p_better"))
    return [
        _comparison(t, adjusted, mirrored, rule, len(tests) if power else None)
        for t, adjusted, mirrored in zip(tests, worse, better, strict=True)
    ]


def _groups(before: Sequence[Entry], now: Sequence[Entry]) -> list[tuple[list[Entry], list[Entry]]]:
    """Seeds of one network together where it was trained again, each on its own otherwise."""
    pairs = list(zip(before, now, strict=True))
    groups: list[tuple[list[Entry], list[Entry]]] = []
    for name in dict.fromkeys(entry.network for entry in before):
        own = [(b, n) for b, n in pairs if b.network == name]
        trained_again = len(own) > 1 and all(b.digest != n.digest for b, n in own)
        groups += [([b for b, _ in own], [n for _, n in own])] if trained_again else [([b], [n]) for b, n in own]
    return groups


def _tests(before: list[Entry], now: list[Entry]) -> list[_Test]:
    level: Level = "images" if len(before) == 1 else "seeds"
    made = []
    for label in before[0].correct:
        then, here = ([entry.correct[label] for entry in side] for side in (before, now))
        if level == "images":
            lost, won = discordant(then[0], here[0])
            p_worse, p_better = mcnemar(lost, won), mcnemar(won, lost)
        else:
            p_worse, p_better = welch(then, here), welch(here, then)
        seed = before[0].seed if level == "images" else None
        made.append(_Test(before[0].network, seed, label, level, then, here, p_worse, p_better))
    return made


def _comparison(test: _Test, adjusted: float, mirrored: float, rule: Rule, family: int | None) -> Comparison:
    then, here = (100 * float(np.mean([c.mean() for c in side])) for side in (test.before, test.now))
    drop = then - here
    enough = rule.min_drop - 1e-9  # an accuracy is a quotient: 1.0 points may be 0.9999… in floating point
    verdict: Verdict = "unchanged"
    if adjusted < rule.alpha and drop >= enough and drop > 0:
        verdict = "regression"
    elif mirrored < rule.alpha and -drop >= enough and drop < 0:
        verdict = "improved"
    elif drop > 0:
        verdict = "worse within noise"
    images = len(test.before[0])
    lost, won = discordant(test.before[0], test.now[0]) if test.level == "images" else (None, None)
    detectable = None
    if family and lost is not None and won is not None:
        detectable = detectable_by_images(images, (lost + won) / images, rule.alpha / family, rule.min_drop)
    elif family:
        deviation, freedom = standard_error(test.before, test.now)
        detectable = detectable_by_seeds(100 * deviation, freedom, rule.alpha / family, rule.min_drop)
    return Comparison(
        network=test.network,
        seed=test.seed,
        perturbation=test.perturbation,
        level=test.level,
        images=images,
        before=then,
        now=here,
        worse=lost,
        better=won,
        p=test.p_worse,
        adjusted_p=adjusted,
        verdict=verdict,
        detectable=detectable,
    )


def discordant(before: npt.NDArray[np.bool_], now: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Numbers of images that were right and are wrong now, and that were wrong and are right now."""
    return int((before & ~now).sum()), int((~before & now).sum())


def mcnemar(worse: int, better: int) -> float:
    """Exact one-sided p: the chance of so many or more of the discordant images having got worse if both are as likely."""
    from scipy.stats import binom

    return float(binom.sf(worse - 1, worse + better, 0.5)) if worse + better else 1.0


def welch(before: Sequence[npt.NDArray[np.bool_]], now: Sequence[npt.NDArray[np.bool_]]) -> float:
    """One-sided p of Welch's t-test that accuracies over seeds are lower now; see `standard_error`."""
    from scipy.stats import t

    deviation, freedom = standard_error(before, now)
    drop = float(np.mean([c.mean() for c in before]) - np.mean([c.mean() for c in now]))
    if deviation == 0:
        return 1.0 if drop <= 0 else 0.0
    return float(t.sf(drop / deviation, freedom))


def standard_error(before: Sequence[npt.NDArray[np.bool_]], now: Sequence[npt.NDArray[np.bool_]]) -> tuple[float, float]:
    """Standard error of the difference of mean accuracies (fractions) and its degrees of freedom (Welch–Satterthwaite).

    The variance over seeds is taken as at least the binomial one of a single accuracy: two seeds that happen to agree do
    not make a test that is sure of itself.
    """
    parts, weights = [], []
    for side in (before, now):
        accuracies = np.array([c.mean() for c in side])
        p = float(accuracies.mean())
        variance = max(float(accuracies.var(ddof=1)), p * (1 - p) / len(side[0]))
        parts.append(variance / len(side))
        weights.append(len(side) - 1)
    total = sum(parts)
    if total == 0:
        return 0.0, float(sum(weights))
    return math.sqrt(total), total**2 / sum(v**2 / w for v, w in zip(parts, weights, strict=True))


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p values by Holm's step-down method (Holm 1979)."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted = [0.0] * len(p)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted
