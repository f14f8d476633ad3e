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

from robustbench_zs.analysis.holm import holm
from robustbench_zs.errors import RequestError
from robustbench_zs.gate import Entry, Rule, compare
from robustbench_zs.gate.decision import TOGETHER
from robustbench_zs.gate.paired import discordant, mcnemar, sign_flips
from robustbench_zs.gate.power import detectable_by_images, detectable_by_seeds, power_by_images
from robustbench_zs.gate.seeds import Scatter, moderated, prior_freedom, scatter

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
    adjusted = [value for value in holm(p) if value is not None]
    ordered = sorted(p)
    for value, found in zip(p, adjusted, strict=True):
        rank = ordered.index(value)
        expected = max(min(1.0, (len(p) - i) * ordered[i]) for i in range(rank + 1))
        # Equal values share the largest adjustment among them or the first one: both reject at the same levels.
        assert found >= expected - 1e-12
        assert found >= value
    assert min(adjusted) == pytest.approx(min(1.0, len(p) * ordered[0]))


def test_what_is_not_tested_is_no_member_of_the_family() -> None:
    assert holm([None, 0.02, None, 0.01]) == [None, 0.02, None, 0.02]


@given(worse=st.integers(0, 300), better=st.integers(0, 300))
def test_sign_flips_with_one_kind_of_images_is_mcnemar(worse: int, better: int) -> None:
    losses = np.array([1] * worse + [-1] * better + [0] * 9)
    expected = mcnemar(worse, better), mcnemar(better, worse)
    assert sign_flips(losses) == pytest.approx(expected, rel=1e-9, abs=1e-14)


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=10))
def test_sign_flips_is_scipys_exact_permutation_test(losses: list[int]) -> None:
    expected = [
        stats.permutation_test((np.array(losses),), np.sum, permutation_type="samples", alternative=side).pvalue
        for side in ("greater", "less")
    ]
    assert sign_flips(np.array(losses)) == pytest.approx(expected)


def test_sign_flips_of_very_many_images_is_normal() -> None:
    losses = np.random.default_rng(0).integers(-9, 10, 9_000)
    (exact, _), (many, _) = sign_flips(losses), sign_flips(np.tile(losses, 4))
    assert exact == pytest.approx(stats.norm.sf(losses.sum() / np.sqrt((losses**2).sum())), rel=0.01)
    assert many == pytest.approx(stats.norm.sf(2 * losses.sum() / np.sqrt((losses**2).sum())))


def test_one_network_over_its_seeds_is_scipys_t_test() -> None:
    before, now = [0.80, 0.85, 0.90], [0.50, 0.64, 0.56, 0.6]
    ((found,),) = moderated([[scatter(before, now, 1000)]])
    assert found.p_worse == pytest.approx(stats.ttest_ind(before, now, alternative="greater").pvalue)
    assert found.p_better == pytest.approx(1 - found.p_worse)


def test_networks_that_scatter_alike_share_their_variance() -> None:
    rows = [[Scatter(0.05, 0.01**2, 2, 1.0)] for _ in range(10)]
    for (found,) in moderated(rows):
        assert found.error == pytest.approx(0.01)
        assert found.freedom == 20


def test_the_prior_is_that_of_its_simulation() -> None:
    """Variances drawn as Smyth's model says: s² of `freedom` around σ², which is 1/χ² of `prior`."""
    draw, freedom, prior = np.random.default_rng(0), 4.0, 8.0
    sigma2 = prior / draw.chisquare(prior, (4000, 2))
    s2 = sigma2 * draw.chisquare(freedom, (4000, 2)) / freedom
    assert prior_freedom(s2, np.full(4000, freedom)) == pytest.approx(prior, rel=0.15)
    assert prior_freedom(draw.chisquare(freedom, (4000, 2)), np.full(4000, freedom)) > 100
    assert prior_freedom(s2[:1], np.full(1, freedom)) == np.inf


def test_seeds_that_agree_are_not_sure_of_themselves() -> None:
    ((found,),) = moderated([[scatter([0.8, 0.8], [0.799, 0.799], 1000)]])
    assert found.p_worse > 0.01


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
    assert among[3].adjusted_p == pytest.approx(41 * 2**-8)  # and all together, a test of its own


def test_seeds_are_compared_where_a_recipe_was_trained_again() -> None:
    before = [entry({"clean": outcomes(800 + 5 * s)}, seed=s) for s in range(4)]
    again = [entry({"clean": outcomes(600 + 5 * s)}, seed=s, digest="b") for s in range(4)]
    (found,) = compare(before, again, Rule())
    assert (found.level, found.seed, found.worse) == ("seeds", None, None)
    assert found.verdict == "regression"
    # Two of the networks still have their weights: each is compared with itself, the others over their seeds.
    mixed = compare(before, [*again[:2], *before[2:]], Rule())
    assert [(c.level, c.seed, c.verdict) for c in mixed] == [
        ("seeds", None, "regression"),
        ("images", 2, "unchanged"),
        ("images", 3, "unchanged"),
    ]
    assert [c.level for c in compare(before, again, Rule(), "weights")] == ["images"] * 4


@given(lost=st.integers(0, 799), networks=st.integers(1, 3))
def test_a_single_seed_that_was_trained_again_is_never_a_regression(lost: int, networks: int) -> None:
    before = [entry({"clean": outcomes(800), "x": outcomes(700)}, network=str(i)) for i in range(networks)]
    now = [entry({"clean": outcomes(800 - lost), "x": outcomes(0)}, network=str(i), digest="b") for i in range(networks)]
    found = compare(before, now, Rule())
    assert {(c.level, c.verdict, c.p, c.adjusted_p, c.detectable) for c in found} == {
        ("single seed", "no verdict", None, None, None)
    }
    assert {c.verdict for c in compare(before, now, Rule(), "weights") if c.perturbation == "x"} == {"regression"}


def test_a_network_that_collapsed_is_a_regression_even_with_a_single_seed() -> None:
    before = [entry({"clean": outcomes(800), "x": outcomes(0)})]
    found = compare(before, [entry({"clean": outcomes(0), "x": outcomes(0)}, digest="b")], Rule())
    assert [c.verdict for c in found] == ["regression", "unchanged", "regression"]
    nothing = entry({"clean": outcomes(0), "x": outcomes(0)}, digest="b")
    assert {c.verdict for c in compare([nothing], [nothing], Rule())} == {"unchanged"}


def test_small_drops_everywhere_are_found_together() -> None:
    kinds = [f"kind {i}" for i in range(9)]
    before = entry({kind: np.arange(1000) >= 0 for kind in kinds})
    now = entry({kind: (np.arange(1000) < 50 * i) | (np.arange(1000) >= 50 * i + 7) for i, kind in enumerate(kinds)})
    *single, together = compare([before], [now], Rule(min_drop=0))
    assert together.perturbation == TOGETHER
    assert {c.verdict for c in single} == {"worse within noise"}
    assert together.verdict == "regression"
    assert together.change == pytest.approx(np.mean([c.change for c in single]))
    assert together.p == pytest.approx(2.0**-63, abs=1e-15)


def test_the_same_results_give_the_same_verdicts() -> None:
    draw = np.random.default_rng(0)
    before, now = ([entry({"clean": draw.random(500) < a, "x": draw.random(500) < 0.7})] for a in (0.8, 0.7))
    assert compare(before, now, Rule()) == compare(before, now, Rule())


@settings(deadline=None, max_examples=25)
@given(n=st.integers(50, 2000), share=st.floats(0, 0.15), alpha=st.sampled_from([0.05, 0.001]))
def test_the_detectable_drop_is_the_smallest_that_is_found(n: int, share: float, alpha: float) -> None:
    better = int(share * n)
    drop = detectable_by_images(n, better, alpha, 1.0)
    assert drop is not None
    # both bounds of Clopper and Pearson's interval approach the one at ½
    churn = stats.binomtest(better, n).proportion_ci(1e-9).high
    assert power_by_images(n, churn, drop / 100, alpha, 1.0) >= 0.8
    assert power_by_images(n, churn, drop / 100 - 1 / n, alpha, 1.0) < 0.8


def test_power_by_images_is_that_of_simulated_checks() -> None:
    draw, n, churn, drop = np.random.default_rng(0), 500, 0.04, 0.04
    counts = draw.multinomial(n, [churn + drop, churn, 1 - 2 * churn - drop], 4000)
    fired = [mcnemar(w, b) <= 0.01 and w - b >= 5 for w, b, _ in counts]
    assert power_by_images(n, churn, drop, 0.01, 1.0) == pytest.approx(np.mean(fired), abs=0.025)


@pytest.mark.parametrize("freedom", [4.0, 20.0])
def test_power_by_seeds_is_that_of_another_check_with_its_own_variance(freedom: float) -> None:
    draw, n = np.random.default_rng(0), 20_000
    drop = detectable_by_seeds(2.0, freedom, 0.01, 1.0)
    assert drop is not None
    true = 2.0 / np.sqrt(draw.chisquare(freedom, n) / freedom)
    error = true * np.sqrt(draw.chisquare(freedom, n) / freedom)
    t = (drop + true * draw.standard_normal(n)) / error
    assert np.mean(t > stats.t.isf(0.01, freedom)) == pytest.approx(0.8, abs=0.01)


def test_two_seeds_of_ten_networks_see_drops_that_two_seeds_of_one_do_not() -> None:
    assert detectable_by_seeds(1.61, 20.0, 0.05 / 90, 1.0) == pytest.approx(8.0, abs=0.1)
    assert detectable_by_seeds(1.7, 2.0, 0.05 / 90, 1.0) is None
    assert detectable_by_seeds(1.61, 20.0, 0.0, 1.0) is None  # what becomes of a tiny alpha among many tests


def test_nothing_can_be_detected_in_few_images() -> None:
    assert detectable_by_images(4, 0, 0.001, 1.0) is None


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


@pytest.mark.parametrize(
    "options",
    [
        {"churn": 0.04},
        {"churn": 0.15},
        {"seeds": 4, "again": True},
        {"seeds": 2, "again": True, "networks": 5, "unlike": 8},
        {"again": True},
    ],
    ids=str,
)
def test_false_alarms_are_rare(simulate: ModuleType, options: dict[str, float]) -> None:
    setting = simulate.Setting(**{"networks": 2, "perturbations": 2, "images": 500, **options})
    found = simulate.checks(setting, Rule(min_drop=0.0), simulate.Drop(), 150, 1)
    # At most 5% in the long run: 15 of 150 has a chance under 1% then.
    assert sum(map(simulate.fails, found)) < (15 if setting.seeds > 1 or not setting.again else 1)


@pytest.mark.parametrize("options", [{"churn": 0.04}, {"churn": 0.15}, {"seeds": 4, "again": True}], ids=str)
def test_the_detectable_drop_has_the_power_that_is_stated(simulate: ModuleType, options: dict[str, float]) -> None:
    setting = simulate.Setting(networks=1, perturbations=2, images=500, **options)
    drops = simulate.stated(setting, Rule(min_drop=0.0), 300, 2)
    power = simulate.power_at_stated(setting, Rule(min_drop=0.0), drops, 3)
    assert 0.75 <= power <= 0.87  # .85 and the noise of 300 checks


def test_two_points_everywhere_are_found_by_the_joint_test(simulate: ModuleType) -> None:
    setting = simulate.Setting(networks=1, images=360, shared=0.0)
    found = simulate.checks(setting, Rule(), simulate.Drop(0.02, everywhere=True), 100, 4)
    assert sum(map(simulate.fails, found)) > sum(simulate.by_single_tests(c, Rule()) for c in found) + 10
