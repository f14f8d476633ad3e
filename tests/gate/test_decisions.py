from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from robustbench_zs.errors import RequestError
from robustbench_zs.gate import Entry, Rule, compare
from robustbench_zs.gate.decision import discordant, holm, mcnemar, welch
from robustbench_zs.gate.power import detectable_by_images, detectable_by_seeds, power_by_images

ROOT = Path(__file__).resolve().parents[2]


def outcomes(right: int, images: int = 1000) -> np.ndarray:
    return np.arange(images) < right


def entry(correct: dict[str, np.ndarray], network: str = "n", seed: int | None = 0, digest: str = "a") -> Entry:
    return Entry(network, seed, digest * 64, correct)


@given(worse=st.integers(0, 60), better=st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(worse: int, better: int) -> None:
    n = worse + better
    expected = stats.binomtest(worse, n, 0.5, alternative="greater").pvalue if n else 1.0
    assert mcnemar(worse, better) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_that_of_its_definition(p: list[float]) -> None:
    adjusted = holm(p)
    ordered = sorted(p)
    for value, found in zip(p, adjusted, strict=True):
        rank = ordered.index(value)
        expected = max(min(1.0, (len(p) - i) * ordered[i]) for i in range(rank + 1))
        # Equal values share the largest adjustment among them or the first one: both reject at the same levels.
        assert found >= expected - 1e-12
        assert found >= value
    assert min(adjusted) == pytest.approx(min(1.0, len(p) * ordered[0]))


def test_welch_is_scipys_where_seeds_scatter() -> None:
    before = [outcomes(r) for r in (800, 850, 900)]
    now = [outcomes(r) for r in (500, 640, 560)]
    a, b = ([100 * c.mean() for c in side] for side in (before, now))
    assert welch(before, now) == pytest.approx(stats.ttest_ind(a, b, equal_var=False, alternative="greater").pvalue)
    assert welch(now, before) == pytest.approx(1 - welch(before, now))


def test_two_seeds_that_agree_are_not_sure_of_themselves() -> None:
    before, now = [outcomes(800)] * 2, [outcomes(795)] * 2
    assert welch(before, now) > 0.2


@pytest.mark.parametrize(
    ("now", "rule", "verdict"),
    [
        (700, Rule(), "regression"),
        (795, Rule(), "worse within noise"),
        (800, Rule(), "unchanged"),
        (900, Rule(), "improved"),
        (805, Rule(), "unchanged"),
        (700, Rule(min_drop=20), "worse within noise"),
        (790, Rule(), "regression"),  # ten images got worse and none better: p = 2^-10, a drop of exactly 1 point
        (791, Rule(), "worse within noise"),  # as sure, but less than a point
        (790, Rule(alpha=1e-4), "worse within noise"),
    ],
)
def test_verdicts(now: int, rule: Rule, verdict: str) -> None:
    (found,) = compare([entry({"clean": outcomes(800)})], [entry({"clean": outcomes(now)})], rule)
    assert found.verdict == verdict
    assert found.level == "images"
    assert found.change == pytest.approx((now - 800) / 10)
    assert (found.worse, found.better) == (max(0, 800 - now), max(0, now - 800))


def test_the_correction_runs_over_all_comparisons() -> None:
    kinds = {f"kind {i}": outcomes(800) for i in range(40)}
    changed = {**kinds, "kind 3": outcomes(792)}
    alone = compare([entry({"x": outcomes(800)})], [entry({"x": outcomes(792)})], Rule(min_drop=0))
    among = compare([entry(kinds)], [entry(changed)], Rule(min_drop=0))
    assert alone[0].verdict == "regression"
    assert {c.verdict for c in among} == {"worse within noise", "unchanged"}
    assert among[3].adjusted_p == pytest.approx(min(1.0, 40 * 2**-8))


def test_seeds_are_compared_where_a_recipe_was_trained_again() -> None:
    before = [entry({"clean": outcomes(800 + 5 * s)}, seed=s) for s in range(4)]
    again = [entry({"clean": outcomes(600 + 5 * s)}, seed=s, digest="b") for s in range(4)]
    (found,) = compare(before, again, Rule())
    assert (found.level, found.seed, found.worse) == ("seeds", None, None)
    assert found.verdict == "regression"
    # One of the networks still has its weights: then these are given weights, and each is compared with itself.
    mixed = [again[0], *before[1:]]
    assert [c.level for c in compare(before, mixed, Rule())] == ["images"] * 4
    assert [c.verdict for c in compare(before, mixed, Rule())] == ["regression"] + ["unchanged"] * 3


@settings(deadline=None, max_examples=25)
@given(n=st.integers(50, 2000), discordance=st.floats(0, 0.3), alpha=st.sampled_from([0.05, 0.001]))
def test_the_detectable_drop_is_the_smallest_that_is_found(n: int, discordance: float, alpha: float) -> None:
    drop = detectable_by_images(n, discordance, alpha, 1.0)
    assert drop is not None
    assert drop >= 1.0 - 100 / n
    assert power_by_images(n, discordance, drop / 100, alpha, 1.0) >= 0.8
    assert power_by_images(n, discordance, drop / 100 - 1 / n, alpha, 1.0) < 0.8


def test_power_by_images_is_that_of_simulated_checks() -> None:
    draw, n, discordance, drop = np.random.default_rng(0), 500, 0.08, 0.04
    differing = draw.binomial(n, discordance, 4000)
    worse = draw.binomial(differing, (1 + drop / discordance) / 2)
    fired = [mcnemar(w, d - w) <= 0.01 and 2 * w - d >= 5 for w, d in zip(worse, differing, strict=True)]
    assert power_by_images(n, discordance, drop, 0.01, 1.0) == pytest.approx(np.mean(fired), abs=0.025)


def test_power_by_seeds_is_that_of_simulated_checks() -> None:
    drop = detectable_by_seeds(2.0, 6.0, 0.01, 1.0)
    assert drop is not None
    draw = np.random.default_rng(0)
    t = (drop / 2.0 + draw.standard_normal(20_000)) / np.sqrt(draw.chisquare(6.0, 20_000) / 6.0)
    assert np.mean(t > stats.t.isf(0.01, 6.0)) == pytest.approx(0.8, abs=0.02)
    assert detectable_by_seeds(2.0, 1.0, 0.0005, 1.0) is None


def test_nothing_can_be_detected_in_few_images() -> None:
    assert detectable_by_images(4, 0.0, 0.001, 1.0) is None


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0.0}, {"alpha": 1.0}, {"alpha": float("nan")}, {"min_drop": -1}, {"min_drop": 101}]
)
def test_rules_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(RequestError):
        Rule(**wrong)


def test_discordant_images() -> None:
    assert discordant(np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 1], bool)) == (1, 2)


@pytest.fixture(scope="module")
def simulate() -> ModuleType:
    specification = importlib.util.spec_from_file_location("simulate", ROOT / "benchmarks" / "gate" / "simulate.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules["simulate"] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("options", [{"noise": 0.04}, {"noise": 0.15}, {"seeds": 4}], ids=str)
def test_false_alarms_are_rare_and_twice_the_detectable_is_found(simulate: ModuleType, options: dict[str, float]) -> None:
    setting, rule, checks = simulate.Setting(networks=2, perturbations=2, images=500, **options), Rule(min_drop=0.0), 150
    # At most 5% in the long run: 15 of 150 has a chance under 1% then.
    assert sum(simulate.failures(setting, rule, 0.0, checks, 1)) < 15
    detectable = simulate.typical_detectable(setting, rule, 2)
    assert detectable is not None
    assert sum(simulate.failures(setting, rule, 2 * detectable, checks, 3)) >= 0.95 * checks
