"""Whether networks got worse: tests on the same images or over seeds, corrected for their number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from robustbench_zs.analysis.holm import holm
from robustbench_zs.errors import RequestError
from robustbench_zs.gate.baseline import Entry
from robustbench_zs.gate.paired import discordant, mcnemar, sign_flips
from robustbench_zs.gate.power import detectable_by_images, detectable_by_seeds
from robustbench_zs.gate.seeds import SeedTest, moderated, scatter

Verdict = Literal["regression", "worse within noise", "unchanged", "improved", "no verdict"]
Level = Literal["images", "seeds", "single seed"]
About = Literal["recipe", "weights"]

TOGETHER = "all together"
"""Stands for the perturbation where the mean over all kinds of images is compared."""


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
            raise RequestError(f"alpha must lie between 0 and 1, not {self.alpha!r}")
        if not 0 <= self.min_drop <= 100:
            raise RequestError(f"the minimal drop must lie between 0 and 100 points, not {self.min_drop!r}")


@dataclass(frozen=True)
class Comparison:
    """One network, or the seeds of one recipe, under one perturbation or all together, then and now.

    `before`, `now` are accuracies in percent, `change` = now − before in points; `worse` and `better` count the images that
    were right then and are wrong now, and the reverse; `p` is one-sided for having got worse, `adjusted_p` after Holm's
    correction, both None where there is no verdict; `detectable` is the smallest drop in points that this rule finds with
    80% power, None if it finds none, and for the images of all perturbations together, where it depends on how a drop is
    spread over them.
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
    p: float | None
    adjusted_p: float | None
    verdict: Verdict
    detectable: float | None

    @property
    def change(self) -> float:
        """Points."""
        return self.now - self.before


@dataclass(frozen=True)
class _Group:
    """Trainings of one network that are compared as one; `before` and `now` are as long as each other."""

    level: Level
    before: list[Entry]
    now: list[Entry]


@dataclass(frozen=True)
class _Test:
    """A comparison before the correction; accuracies in percent. `over_seeds` is what its p stands on at that level."""

    group: _Group
    perturbation: str
    before: float
    now: float
    p_worse: float | None = None
    p_better: float | None = None
    worse: int | None = None
    better: int | None = None
    over_seeds: SeedTest | None = None


def compare(
    before: Sequence[Entry], now: Sequence[Entry], rule: Rule, about: About = "recipe", power: bool = True
) -> list[Comparison]:
    """Compare networks pair by pair: clean images, every perturbation, and all of these together.

    Networks with the weights they had, and all of them if the question is about weights, are compared image by image: by
    McNemar's exact one-sided test, and all together by the exact test that flips the signs of an image's changes jointly.
    Where two seeds or more of a network were trained again, their accuracies are compared by moderated one-sided t-tests.
    A single one that was trained again gets no verdict. One that gets no clean image right any more has collapsed, which is
    no matter of seeds: it is compared image by image.

    Regression: adjusted p below alpha and at least the minimal drop; improved mirrors it; worse within noise: any other
    drop; else unchanged. Holm's correction runs over all tests of a check, those of all together among them.

    Args:
        before, now: as many networks in the same order.
        about: whether a new training of a network stands for its recipe, or for nothing but its weights.
        power: whether to compute what could have been detected, which takes longer than the rest.
    """
    tests = _tests(_groups(before, now, about))
    worse, better = holm([t.p_worse for t in tests]), holm([t.p_better for t in tests])
    family = sum(p is not None for p in worse) if power else None
    return [_comparison(t, p, mirrored, rule, family) for t, p, mirrored in zip(tests, worse, better, strict=True)]


def _groups(before: Sequence[Entry], now: Sequence[Entry], about: About) -> list[_Group]:
    """Seeds of a network that were trained again together, every other training on its own."""
    by_network: dict[str, list[tuple[Entry, Entry]]] = {}
    for then, here in zip(before, now, strict=True):
        by_network.setdefault(then.network, []).append((then, here))
    return [group for pairs in by_network.values() for group in _groups_of_one(pairs, about)]


def _groups_of_one(pairs: list[tuple[Entry, Entry]], about: About) -> Iterator[_Group]:
    again = [pair for pair in pairs if about == "recipe" and _stands_for_its_recipe(*pair)]
    if len(again) > 1:
        yield _Group("seeds", [then for then, _ in again], [here for _, here in again])
    for then, here in pairs:
        if about == "weights" or not _stands_for_its_recipe(then, here):
            yield _Group("images", [then], [here])
        elif len(again) == 1:
            yield _Group("single seed", [then], [here])


def _stands_for_its_recipe(before: Entry, now: Entry) -> bool:
    """Whether it was trained again and did not collapse."""
    clean = "clean"
    collapsed = clean in now.correct and bool(before.correct[clean].any()) and not now.correct[clean].any()
    return before.digest != now.digest and not collapsed


def _tests(groups: Sequence[_Group]) -> list[_Test]:
    """All tests, group by group: each kind of images, then all together."""
    over_seeds = iter(_over_seeds([group for group in groups if group.level == "seeds"]))
    return [test for group in groups for test in (next(over_seeds) if group.level == "seeds" else _of_one_training(group))]


def _of_one_training(group: _Group) -> list[_Test]:
    then, here = group.before[0].correct, group.now[0].correct
    tests = []
    for label in then:
        worse, better = discordant(then[label], here[label])
        test = _Test(group, label, _percent(then[label]), _percent(here[label]), worse=worse, better=better)
        if group.level == "images":
            test = replace(test, p_worse=mcnemar(worse, better), p_better=mcnemar(better, worse))
        tests.append(test)
    if group.level == "images" and len(tests) > 1:
        losses = np.sum([then[label].astype(np.int64) - here[label] for label in then], axis=0)
        before, now = (float(np.mean([getattr(t, side) for t in tests])) for side in ("before", "now"))
        tests.append(_Test(group, TOGETHER, before, now, *sign_flips(losses)))
    return tests


def _over_seeds(groups: Sequence[_Group]) -> list[list[_Test]]:
    if not groups:
        return []
    labels = list(groups[0].before[0].correct)
    names = [*labels, TOGETHER] if len(labels) > 1 else labels
    images = len(groups[0].before[0].correct[labels[0]])
    tables = [[_accuracies(side, labels)[:, : len(names)] for side in (group.before, group.now)] for group in groups]
    rows = [[scatter(then, here, images) for then, here in zip(before.T, now.T, strict=True)] for before, now in tables]
    return [
        [
            _Test(group, name, 100 * then, 100 * here, test.p_worse, test.p_better, over_seeds=test)
            for name, then, here, test in zip(names, before.mean(0), now.mean(0), tests, strict=True)
        ]
        for group, (before, now), tests in zip(groups, tables, moderated(rows), strict=True)
    ]


def _accuracies(entries: Sequence[Entry], labels: Sequence[str]) -> npt.NDArray[np.float64]:
    """Seeds × kinds of images, and their mean in a last column; fractions."""
    table = np.array([[entry.correct[label].mean() for label in labels] for entry in entries])
    return np.column_stack([table, table.mean(1)])


def _percent(correct: npt.NDArray[np.bool_]) -> float:
    return 100 * float(correct.mean())


def _comparison(test: _Test, p: float | None, mirrored: float | None, rule: Rule, family: int | None) -> Comparison:
    entry = test.group.before[0]
    return Comparison(
        network=entry.network,
        seed=None if test.group.level == "seeds" else entry.seed,
        perturbation=test.perturbation,
        level=test.group.level,
        images=len(next(iter(entry.correct.values()))),
        before=test.before,
        now=test.now,
        worse=test.worse,
        better=test.better,
        p=test.p_worse,
        adjusted_p=p,
        verdict=_verdict(test, p, mirrored, rule),
        detectable=_detectable(test, rule, family) if family else None,
    )


def _verdict(test: _Test, p: float | None, mirrored: float | None, rule: Rule) -> Verdict:
    if p is None or mirrored is None:
        return "no verdict"
    drop = test.before - test.now
    enough = rule.min_drop - 1e-9  # an accuracy is a quotient: 1.0 points may be 0.9999… in floating point
    if p < rule.alpha and drop >= enough and drop > 0:
        return "regression"
    if mirrored < rule.alpha and -drop >= enough and drop < 0:
        return "improved"
    return "worse within noise" if drop > 0 else "unchanged"


def _detectable(test: _Test, rule: Rule, family: int) -> float | None:
    """Points; None too where more would have to be lost than there is."""
    points = None
    if test.over_seeds is not None:
        points = detectable_by_seeds(
            100 * test.over_seeds.error, test.over_seeds.freedom, rule.alpha / family, rule.min_drop
        )
    elif test.better is not None and test.p_worse is not None:
        images = len(test.group.before[0].correct[test.perturbation])
        points = detectable_by_images(images, test.better, rule.alpha / family, rule.min_drop)
    return points if points is not None and points <= test.before else None
