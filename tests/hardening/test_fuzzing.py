"""A few hundred of the cases that `benchmarks/hardening/fuzz.py` runs by the thousand, the same ones each time."""

from __future__ import annotations

import pytest
from fuzz_targets import TARGETS
from hypothesis import HealthCheck, Phase, given, seed, settings

CASES = {"command line": 60, "study files": 60, "Parquet": 30}


@pytest.mark.parametrize("name", TARGETS)
def test_no_case_ends_badly(name: str) -> None:
    target = TARGETS[name]

    @seed(0)
    @settings(
        max_examples=CASES.get(name, 40),
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=target.cases)
    def run(case: object) -> None:
        target.check(case)

    run()
