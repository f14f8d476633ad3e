"""Results that differ in more than schemes are marked in tables and refused in comparisons."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from robustbench_zs import GaussianNoise, RequestError, degradation_by_verdict, evaluate
from robustbench_zs.analysis.comparability import check_comparable, mark
from robustbench_zs.analysis.network_outcomes import network_outcomes
from robustbench_zs.cli.main import main
from robustbench_zs.training import Checkpoint, Recipe, train

NOISE = GaussianNoise(0.1)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    """Networks like that of `checkpoint`, each different in one respect."""
    folder, network = tmp_path_factory.mktemp("others"), "table10-1:depth=20,widths=4-8-16"
    recipe = Recipe(epochs=8, batch_size=16, learning_rate=0.05)
    short = recipe.with_changes(epochs=1)
    made = {}
    for name, (by, examples) in {"scheme": (recipe, 400), "recipe": (short, 400), "images": (recipe, 50)}.items():
        (made[name],) = train([network], recipe=by, train_examples=examples, folder=folder, device="cpu", threads=1)
    return made


def results_of(*checkpoints: Checkpoint, examples: int | None = None) -> pd.DataFrame:
    return evaluate(checkpoints, [NOISE], store=None, device="cpu", threads=1, examples=examples)


def test_another_scheme_alone_is_what_the_comparison_is_about(checkpoint: Checkpoint, others: dict[str, Checkpoint]) -> None:
    results = results_of(checkpoint, others["scheme"])
    assert mark(results) is None
    assert degradation_by_verdict(results)["difference"].notna().all()


@pytest.mark.parametrize(("which", "words"), [("recipe", "2 recipes"), ("images", "2 sets of training images")])
def test_another_recipe_or_other_training_images_are_marked_and_refused(
    checkpoint: Checkpoint, others: dict[str, Checkpoint], which: str, words: str
) -> None:
    results = results_of(checkpoint, others[which])
    assert words in str(mark(results))
    for compare in (degradation_by_verdict, check_comparable, lambda r: network_outcomes(r, pd.DataFrame())):
        with pytest.raises(RequestError, match=words):
            compare(results)


def test_results_on_other_test_images_are_marked_and_refused(checkpoint: Checkpoint, others: dict[str, Checkpoint]) -> None:
    results = pd.concat([results_of(checkpoint), results_of(others["scheme"], examples=100)], ignore_index=True)
    assert "2 sets of images" in str(mark(results))
    with pytest.raises(RequestError, match="2 sets of images"):
        degradation_by_verdict(results)


def test_results_of_other_library_versions_are_marked(checkpoint: Checkpoint) -> None:
    results = pd.concat([results_of(checkpoint)] * 2, ignore_index=True)
    assert mark(results) is None
    made = [{**row, "torch": version} for row, version in zip(results["environment"], "12", strict=True)]
    results["environment"] = pd.Series(made, dtype=object)
    assert "2 versions of libraries" in str(mark(results))
    check_comparable(results)


def test_the_command_line_marks_a_mixed_table_beside_the_results(
    checkpoint: Checkpoint,
    others: dict[str, Checkpoint],
    working_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", str(checkpoint.path), str(others["recipe"].path), "--examples", "20", "--format", "json"])
    assert end.value.code == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("[")
    assert "Compare with care: these rows come from 2 recipes" in printed.err
