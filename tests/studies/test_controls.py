"""A control, networks of a study by another recipe: the report shows it once it is there, and says what it says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from robustbench_zs.errors import RequestError
from robustbench_zs.studies.load import load_study
from robustbench_zs.studies.run import report, run_study

COMMON = """
schemes = ["table10-1", "table10-10"]
depths = [8]
widths = [2, 2, 4]
masking_images = 0
dataset = { name = "digits", train_examples = 60, test_examples = 60 }
"""
MINE = (
    'name = "mine"\ncontrols = ["other"]\n'
    + COMMON
    + """
recipe = { epochs = 2 }
[[perturbations]]
kind = "gaussian"
delta = [0.02, 0.1]
[scale.small]
epochs = 1
"""
)
OTHER = (
    'name = "other"\n'
    + COMMON
    + """
[[perturbations]]
kind = "gaussian"
delta = 0.1
[[parts]]
name = "slow"
recipe = { epochs = 2, learning_rate = 0.01 }
"""
)


@pytest.fixture
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("benchmarks").mkdir()
    Path("benchmarks/mine.toml").write_text(MINE)
    Path("benchmarks/other.toml").write_text(OTHER)


@pytest.mark.usefixtures("studies")
def test_a_control_is_shown_once_it_is_there() -> None:
    own = run_study("mine")
    assert "Other recipes" not in (own.folder / "report.md").read_text()
    other = run_study("other")
    report("mine")
    text = (own.folder / "report.md").read_text()
    assert "## Other recipes" in text
    assert "Recipe learning rate 0.01: the least accurate of these zero-stable networks" in text

    rows = pd.read_csv(own.folder / "controls.csv")
    assert list(rows["recipe"]) == ["that of the study", "learning rate 0.01"] * 2
    assert "gaussian(delta=0.1)" in rows
    assert "gaussian(delta=0.02)" not in rows  # the control did not ask for it
    measured = pd.concat([own.gaps.assign(study="mine"), other.gaps.assign(study="other-slow")])
    for _, row in rows.iterrows():
        [one] = measured[(measured["network"] == row["network"]) & (measured["study"] == row["study"])].to_dict("records")
        assert (row["clean_accuracy"], row["train_accuracy"]) == (one["test_accuracy"], one["train_accuracy"])
        assert row["gap"] == pytest.approx(one["train_accuracy"] - one["test_accuracy"])
    stable, other_one = (rows.loc[rows["zero_stable"] == z, "clean_accuracy"].max() for z in (True, False))
    apart = f"{abs(stable - other_one):.1f} points {'above' if stable > other_one else 'below'}"
    assert f"({stable:.1f}% clean) lies {apart}" in text.partition("suits it best")[2]


@pytest.mark.usefixtures("studies")
def test_a_scaled_down_study_has_no_controls_and_an_unknown_one_is_named() -> None:
    assert load_study("mine", "small").controls == []
    Path("benchmarks/mine.toml").write_text(MINE.replace('["other"]', '["nowhere"]'))
    with pytest.raises(RequestError, match="no study 'nowhere'"):
        load_study("mine")
