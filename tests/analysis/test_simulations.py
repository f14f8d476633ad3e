"""Short forms of `benchmarks/inference`: how often conclusions are wrong, where it is known what is right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from false_relations import false_relations
from interval_coverage import leads, of_correlations, of_shifts
from power import power, said
from worlds import TABLE_10, networks, outcomes_of, same_share_lost, scheme_of, unrelated

from robustbench_zs.analysis import conclude, rank_correlation
from robustbench_zs.analysis.conclusions import NOTHING
from robustbench_zs.analysis.words import summary_sentences

DRAWS = 199


@pytest.mark.parametrize("world", ["nothing is related", "schemes do not differ", "all lose the same share"])
def test_reports_without_a_relation_rarely_state_one(world: str) -> None:
    # At most 5% may: of 40, nine or more have a chance below .001.
    assert 40 * false_relations(world, 10, 40, DRAWS)["any"] < 9


def test_fewer_than_six_schemes_state_nothing() -> None:
    assert false_relations("nothing is related", 5, 15, DRAWS)["any"] == 0


def test_a_drop_falls_with_the_modulus_where_all_lose_the_same_share() -> None:
    """Why relations are not tested on drops: a network that has more right loses more points."""
    generator, found = np.random.default_rng(0), []
    for _ in range(10):
        frame = same_share_lost(TABLE_10, generator, perturbations=1)
        drops = frame[frame["kind"] == "drop"]
        moduli = [round(max(m), 9) for m in drops["moduli"]]
        found.append(rank_correlation(moduli, drops["value"].tolist(), drops["network"].tolist()).finding)
    assert found.count("negative relation") >= 5


def related(names: list[str], generator: np.random.Generator) -> pd.DataFrame:
    """All ten outcomes of robustness grow with the largest modulus; clean accuracy and gap do not."""
    modulus = np.log([scheme_of(name).largest_modulus for name in names])
    values = generator.standard_normal((len(names), 12))
    values[:, 2:] += 4 * modulus[:, None]
    return outcomes_of(names, values, 0.2, generator)


def test_what_is_there_is_found_and_the_same_results_give_the_same_words() -> None:
    generator = np.random.default_rng(0)
    frame = related(networks(24), generator)
    found = conclude(frame, DRAWS * 5)
    robust = found.modulus[found.modulus["family"] == "robustness"]
    assert set(robust["finding"]) == {"established, rising"}
    assert found.together["all"] < 0.01
    sentences = summary_sentences(found)
    for seed in range(5):
        np.random.seed(seed)
        shuffled = frame.sample(frac=1, random_state=seed)
        order = {outcome: i for i, outcome in enumerate(frame["outcome"].unique())}
        shuffled = shuffled.sort_values("outcome", key=lambda column: column.map(order), kind="stable")
        assert summary_sentences(conclude(shuffled, DRAWS * 5)) == sentences


def test_where_seeds_differ_as_much_as_schemes_there_is_nothing_to_predict() -> None:
    frame = unrelated(networks(24), np.random.default_rng(0), between=0.0)
    assert (conclude(frame, DRAWS).modulus["finding"] == NOTHING).mean() > 0.6


def test_a_sign_that_turns_on_shared_images_states_no_direction() -> None:
    frame = related(networks(24), np.random.default_rng(0))
    turned = frame.assign(shared=-frame["shared"])
    findings = conclude(turned, DRAWS * 5).modulus["finding"]
    assert not findings.str.startswith("established").any()
    assert findings.eq("no direction: the sign does not hold on images that nearly all networks classify correctly").any()


def test_intervals_cover_about_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    assert 0.92 < of_correlations(10, 0.6, 500, generator) < 0.985  # three standard deviations of a share of 500
    assert 0.92 < of_shifts(4, 6, 400, generator) < 0.99
    single, together = leads(100, np.array([0.7, 0.5, 0.4]), 0.4, 80, generator)
    assert min(single, together) > 0.87


def test_what_could_have_been_found_is_found_in_half_of_cases() -> None:
    generator = np.random.default_rng(0)
    half, _ = said(24, generator, DRAWS * 5)
    assert 0.3 < power(24, half, 40, generator, DRAWS * 2) < 0.8


def test_leads_are_given_from_forty_schemes_on() -> None:
    generator = np.random.default_rng(0)
    many = conclude(related(networks(40), generator), DRAWS * 5).best.set_index("outcome")
    few = conclude(related(networks(39), generator), DRAWS * 5).best
    assert few["lead_low"].isna().all()
    row = many.loc["share lost, noise(2)"]
    assert row["lead_low"] < row["lead"] < row["lead_high"]
