"""Which zero-stable networks are less accurate than one that is not."""

from __future__ import annotations

import pandas as pd

from robustbench_zs.analysis.exceptions import exception_sentences

NETWORKS = {"a": (True, 90.0), "b": (True, 70.0), "c": (False, 80.0), "d": (False, 60.0), "e": (None, 50.0)}


def outcomes(networks: dict[str, tuple[bool | None, float]]) -> pd.DataFrame:
    rows = [
        {"network": name, "seed": seed, "zero_stable": stable, "kind": kind, "value": value + shift}
        for name, (stable, value) in networks.items()
        for seed, shift in ((0, -1.0), (1, 1.0))
        for kind in ("clean accuracy", "share lost")
    ]
    return pd.DataFrame(rows)


def test_exceptions_are_named_with_their_accuracy() -> None:
    (sentence,) = exception_sentences(outcomes(NETWORKS))
    assert "1 of 2 is less accurate (`b` 70.0%) than `c` (80.0%), which is not zero-stable" in sentence


def test_without_exceptions_nothing_is_said() -> None:
    assert exception_sentences(outcomes({name: NETWORKS[name] for name in "ade"})) == []
    assert exception_sentences(outcomes({name: NETWORKS[name] for name in "abe"})) == []
