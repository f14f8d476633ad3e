from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pandas as pd
import pytest

from robustbench_zs.analysis.transfer import transfer_by_verdict, transfer_matrix, transfer_sentence


def transfers(stable: list[bool], fooled: Callable[[int, int], float]) -> pd.DataFrame:
    """Of 80% that are right when clean, what of the images of network t the examples of s fool, in percent."""
    return pd.DataFrame(
        [
            {
                "network": f"n{t}",
                "scheme": f"s{t}",
                "zero_stable": stable[t],
                "source_network": f"n{s}",
                "source_scheme": f"s{s}",
                "source_zero_stable": stable[s],
                "clean_accuracy": 80.0,
                "drop": 0.8 * fooled(s, t),
            }
            for s, t in product(range(len(stable)), repeat=2)
        ]
    )


SIDES = [True, True, True, False, False, False]


def test_means_are_over_pairs_of_two_networks() -> None:
    summary = transfer_by_verdict(transfers(SIDES, lambda s, t: 100 if s == t else 10 * s + t))
    cell = {(r["examples_of"], r["shown_to"]): r for _, r in summary.iterrows()}
    there, back = cell["non-zero-stable", "zero-stable"], cell["zero-stable", "non-zero-stable"]
    assert there["fooled"] == pytest.approx(41)  # 10·(3 + 4 + 5)/3 + (0 + 1 + 2)/3
    assert back["fooled"] == pytest.approx(14)
    assert cell["zero-stable", "zero-stable"]["fooled"] == pytest.approx(11)
    assert [r["pairs"] for r in cell.values()] == [6, 9, 9, 6, 9]
    last = summary.iloc[-1]
    assert last["fooled"] == pytest.approx(27)
    assert 9 < last["fooled_low"] < 27 < last["fooled_high"] < 45  # 9 (source − target), of means over 3 to 5 and 0 to 2


def test_equal_directions_are_within_noise_and_others_not() -> None:
    even = transfer_by_verdict(transfers(SIDES, lambda s, t: 20 + abs(s - t)))
    assert transfer_sentence(even) is not None
    assert "within noise" in str(transfer_sentence(even))
    uneven = transfer_by_verdict(transfers(SIDES, lambda s, t: 60 if s > t else 20))
    sentence = str(transfer_sentence(uneven))
    assert "60.0% of the images that these classify correctly, and the reverse for 20.0%" in sentence
    assert "within noise" not in sentence


def test_few_schemes_have_no_interval_and_one_side_no_difference() -> None:
    few = transfer_by_verdict(transfers([True, False], lambda s, t: 30))
    assert few["fooled_low"].isna().all()
    assert "too few schemes" in str(transfer_sentence(few))
    assert transfer_sentence(transfer_by_verdict(transfers([True] * 4, lambda s, t: 30))) is None


def test_a_network_that_has_nothing_right_has_no_share() -> None:
    frame = transfers([True, False], lambda s, t: 30)
    frame.loc[frame["network"] == "n1", ["clean_accuracy", "drop"]] = 0.0
    matrix = transfer_matrix(frame)
    assert matrix["s1"].isna().all()
    assert matrix["s0"].tolist() == pytest.approx([30, 30])
