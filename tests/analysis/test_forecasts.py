"""What the atlas predicts for a scheme, from outcomes that are a law of it."""

from __future__ import annotations

import numpy as np
import pytest

from robustbench_zs.analysis import forecast
from robustbench_zs.analysis.predictors import scheme_predictors
from robustbench_zs.schemes import MultistepScheme, scheme_from_name
from robustbench_zs.schemes.atlas import HALVES, atlas_names, atlas_scheme
from robustbench_zs.schemes.measured import Row, _rows


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Row]:
    """Networks of 20 layers whose ε falls with the noise gain, and 100 schemes of each half."""
    rows: dict[str, Row] = {}
    draws = np.random.default_rng(0)
    for name in [*atlas_names(HALVES[0], 100), *atlas_names(HALVES[1], 100)]:
        gain = scheme_predictors(atlas_scheme(name), 9, 3)["noise_gain"]
        assert gain is not None
        eps = float(0.1 / (1 + np.log(gain)) + draws.normal(0, 0.005))
        rows[name] = {"depth": 20.0, "seeds": 1.0, "clean_accuracy": 90 + float(draws.normal()), "smallest_eps": eps}
    monkeypatch.setattr(forecast, "measured", lambda: {"digits": rows})
    forecast.calibrated.cache_clear()
    forecast._design.cache_clear()
    return rows


def test_intervals_hold_new_schemes(measured: dict[str, Row]) -> None:
    held, widths = [], []
    for name in atlas_names(HALVES[1])[100:200]:
        found = {f.outcome: f for f in forecast.forecasts(atlas_scheme(name), 20)}["smallest_eps"]
        if found.value is None:
            assert found.outside
            continue
        gain = scheme_predictors(atlas_scheme(name), 9, 3)["noise_gain"]
        assert found.low is not None
        assert found.high is not None
        assert gain is not None
        assert found.low <= found.value <= found.high
        held.append(found.low <= 0.1 / (1 + np.log(gain)) <= found.high)  # without noise, so nearly all
        widths.append(found.high - found.low)
    assert len(held) > 80
    assert np.mean(held) > 0.93
    assert np.mean(widths) < 0.06


@pytest.mark.parametrize(
    ("scheme", "depth", "reason"),
    [
        (scheme_from_name("table10-5"), 56, "its networks have 20 layers, not 56"),
        (MultistepScheme(["1"]), 20, "β is not known"),
        (MultistepScheme(["0", "0", "0", "0", "1"], "1"), 20, "orders 1 to 4, not 5"),
        (MultistepScheme(["9"], "1"), 20, "largest modulus 9 outside"),
    ],
)
def test_what_the_atlas_does_not_cover_is_said(
    measured: dict[str, Row], scheme: MultistepScheme, depth: int, reason: str
) -> None:
    assert all(reason in found.outside and found.value is None for found in forecast.forecasts(scheme, depth))
    assert forecast.forecasts(scheme, depth)


def test_without_measurements_nothing_is_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "measured", dict)
    assert forecast.forecasts(scheme_from_name("euler"), 20) == []


def test_a_table_of_measurements_is_read() -> None:
    text = "scheme,depth,seeds,clean_accuracy,smallest_eps\natlas-001,56,2,90.5,\n"
    assert _rows(text) == {"atlas-001": {"depth": 56, "seeds": 2, "clean_accuracy": 90.5, "smallest_eps": None}}
