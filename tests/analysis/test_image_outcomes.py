from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from robustbench_zs.analysis import ImageOutcomes, NetworkImages, network_outcomes
from robustbench_zs.analysis.reliability import reliability

CLEAN = np.array([True] * 12 + [False] * 4)
HARDER = np.array([True] * 8 + [False] * 4 + [True] * 2 + [False] * 2)
DISTANCES = np.array([0.1] * 4 + [0.4] * 4 + [np.inf] * 4 + [0.0] * 4)


def test_of_the_images_right_when_clean_those_lost_count_and_those_won_do_not() -> None:
    under = CLEAN.copy()
    under[:3], under[-2:] = False, True
    images = ImageOutcomes({"a": NetworkImages(CLEAN, {"noise": under})})
    assert images.share_lost("a", "noise") == 25
    nothing = ImageOutcomes({"a": NetworkImages(np.zeros(16, bool), {"noise": under})})
    assert nothing.share_lost("a", "noise") is None


def test_the_mean_smallest_eps_is_censored_and_is_the_share_that_stands_over_all_eps() -> None:
    images = ImageOutcomes({"a": NetworkImages(CLEAN, {}, DISTANCES)}, largest_eps=0.3)
    assert images.mean_smallest_eps("a") == pytest.approx((4 * 0.1 + 8 * 0.3) / 12)
    eps = np.linspace(0, 0.3, 3001)
    standing = [(DISTANCES[CLEAN] > e).mean() for e in eps]
    assert images.mean_smallest_eps("a") == pytest.approx(0.3 * np.mean(standing), abs=1e-3)


def test_shared_images_are_those_that_nearly_all_networks_have_right() -> None:
    networks = {f"{i}": NetworkImages(CLEAN, {"noise": CLEAN}) for i in range(19)}
    one_off = {"off": NetworkImages(HARDER, {"noise": np.zeros(16, bool)})}
    assert (ImageOutcomes(networks | one_off).shared == CLEAN).all()  # 19 of 20 are 95%
    few = ImageOutcomes({"0": networks["0"]} | one_off)
    assert (few.shared == (CLEAN & HARDER)).all()
    assert few.share_lost("off", "noise") == 100
    assert few.share_lost("off", "noise", shared=True) is None  # eight images say nothing
    assert ImageOutcomes(networks | one_off).share_lost("0", "noise", shared=True) == 0


def test_outcomes_take_the_smallest_eps_for_the_attacks_that_it_covers() -> None:
    facts = {"network": "a", "digest": "a", "seed": 0, "moduli": [1.0], "zero_stable": True, "classes": 10}
    facts |= {"clean_accuracy": 75.0}
    rows = [facts | {"perturbation": "clean", "engine": None, "accuracy": 75.0, "drop": 0.0}]
    rows += [
        facts | {"perturbation": p, "engine": e, "accuracy": 50.0, "drop": 25.0}
        for p, e in (("noise", None), ("pgd", "native"))
    ]
    under = CLEAN.copy()
    under[:4] = False
    images = {"a": NetworkImages(CLEAN, {"noise": under, "pgd": under}, DISTANCES)}
    gaps = pd.DataFrame(columns=["network", "moduli", "zero_stable", "gap"])
    results = pd.DataFrame(rows)
    with_search = network_outcomes(results, gaps, ImageOutcomes(images, 0.3, frozenset({"pgd"})))
    tested = with_search[with_search["family"] == "robustness"]
    assert list(tested["outcome"]) == ["mean smallest ε", "share lost, noise"]
    without = network_outcomes(results, gaps, ImageOutcomes(images))
    assert list(without.loc[without["family"] == "robustness", "outcome"]) == ["share lost, noise", "share lost, pgd"]
    # Only noise has a drop relative to chance.
    assert list(without.loc[without["kind"] == "relative drop", "outcome"]) == ["relative drop, noise"]
    assert without.loc[without["kind"] == "relative drop", "value"].item() == pytest.approx(25 / 65)
    # Without images the share is that of the accuracies, and nothing is known of shared images.
    plain = network_outcomes(results, gaps)
    assert plain.loc[plain["outcome"] == "share lost, pgd", "value"].item() == pytest.approx(100 / 3)
    assert plain["shared"].isna().all()


def test_reliability_is_the_intraclass_correlation_of_shrout_and_fleiss() -> None:
    # Their Table 2: four judges, six targets; ICC(1, 1) = .17.
    ratings = [(9, 2, 5, 8), (6, 1, 3, 2), (8, 4, 6, 8), (7, 1, 2, 6), (10, 5, 6, 9), (6, 2, 4, 7)]
    values = pd.DataFrame({"a": np.ravel(ratings).astype(float), "b": 1.0})
    found = reliability(values, pd.Series(np.repeat(range(6), 4)))
    assert found["a"] == pytest.approx(0.17, abs=0.005)
    assert found["b"] == 0
    assert reliability(values, pd.Series(range(24))).isna().all()  # one seed each


def test_reliability_of_unequal_numbers_of_seeds_is_what_generated_them() -> None:
    generator = np.random.default_rng(0)
    schemes = np.repeat(np.arange(400), generator.integers(1, 3, 400))
    values = generator.normal(size=400)[schemes] + 0.5 * generator.normal(size=len(schemes))
    found = reliability(pd.DataFrame({"a": values}), pd.Series(schemes))
    assert found["a"] == pytest.approx(1 / 1.25, abs=0.06)
