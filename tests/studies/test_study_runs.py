"""A small study from its file to its report, run for real."""

from __future__ import annotations

import lzma
import math
import re
import shutil
import sqlite3
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
import torch

from robustbench_zs import RequestError, Study, load_study, make_plan, pack, report, run_study, train_study, unpack
from robustbench_zs.studies.load import find_study
from robustbench_zs.training import read_checkpoint
from robustbench_zs.training.checkpoint import save_checkpoint

STUDY = """
name = "tiny"
title = "Two schemes | one of them <by coefficients>"
schemes = ["euler", { alphas = [0.1, "1/3"], beta = 1.5 }]
depths = [8]
widths = [4, 4, 8]
seeds = [0, 1]
[dataset]
name = "digits"
train_examples = 64
test_examples = 40
[recipe]
epochs = 2
batch_size = 32
[[perturbations]]
kind = "gaussian"
delta = [0.1, 0.2]
[[perturbations]]
kind = "pgd"
eps = "8/255"
steps = 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study")
    (path / "tiny.toml").write_text(STUDY)
    return path


@pytest.fixture(autouse=True)
def _working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def stored_rows() -> list[tuple[object, ...]]:
    connection = sqlite3.connect("reports/results.sqlite")
    rows = connection.execute("SELECT * FROM network_answers").fetchall()
    connection.close()
    return rows


def test_coefficients_in_toml_are_exact_text() -> None:
    scheme = load_study("tiny.toml").specs()[1].fixed_scheme
    assert scheme is not None
    assert scheme.exact
    assert [str(a) for a in scheme.alphas] == ["1/10", "1/3"]
    assert str(scheme.beta) == "3/2"


def test_plan_says_what_waits_for_what() -> None:
    table = make_plan(load_study("tiny.toml")).table()
    assert list(table["kind"]) == ["train", "evaluate"] * 4 + ["report"]
    assert [list(n) for n in table["needs"][:2]] == [[], [table["step"][0]]]
    assert len(table["needs"].iloc[-1]) == 4
    assert table["seed"].iloc[:8:2].tolist() == [0, 0, 1, 1]  # the first seed of all before the second of any


def test_run_does_everything_once_and_reports() -> None:
    first = run_study("tiny.toml")
    assert (first.trained, first.evaluated) == (4, 4)
    rows = stored_rows()
    assert len(rows) == 4 * (2 + 3) + 2  # clean on both splits, three perturbations; gradients of the first seed
    second = run_study("tiny.toml")
    assert (second.trained, second.evaluated) == (0, 0)
    assert stored_rows() == rows
    pd.testing.assert_frame_equal(first.results, second.results)
    text = Path("reports/tiny/report.md").read_text()
    assert "nan" not in text.lower().replace("finance", "")
    assert "It compares 2 with known roots, and a conclusion takes at least 6." in text
    pictures = re.findall(r"\]\((\w+\.(?:svg|png))\)", text)
    assert {"answer.svg", "accuracy.svg", "degradation.svg", "examples.png"} <= {*pictures}
    for picture in pictures:
        assert (Path("reports/tiny") / picture).stat().st_size > 1000
    assert "## Which quantity predicts it best?" in text
    assert "The smallest ε of each image was not searched in this study" in text
    tables = ("results", "gaps", "outcomes", "degradation", "correlations", "effects", "predictors", "best_predictors")
    for name in tables:
        assert len(pd.read_csv(f"reports/tiny/{name}.csv"))


def test_a_changed_file_under_the_same_name_is_another_checkpoint() -> None:
    run_study("tiny.toml")
    rows = len(stored_rows())
    path = sorted(Path("checkpoints/tiny").glob("*.safetensors"))[0]
    before = path.read_bytes()
    checkpoint = read_checkpoint(path)
    network = checkpoint.network()
    with torch.no_grad():
        next(network.parameters()).mul_(2)
    save_checkpoint(path, network, checkpoint.header)
    assert run_study("tiny.toml").evaluated == 1
    assert len(stored_rows()) == rows + 6
    path.write_bytes(before)


def test_report_needs_no_weights() -> None:
    wanted = run_study("tiny.toml").results
    moved = Path("checkpoints").rename("elsewhere")
    try:
        pd.testing.assert_frame_equal(report("tiny.toml").results, wanted)
    finally:
        moved.rename("checkpoints")


def test_a_report_from_packed_results_is_the_same_without_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_study("tiny.toml", device="cpu", threads=1)
    wanted = (folder / "reports/tiny/results.csv").read_bytes()
    rows = pack("tiny.toml", tmp_path / "tiny.xz")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(STUDY)
    with pytest.raises(RequestError, match="no results store"):
        pack("tiny.toml", tmp_path / "other.xz")
    assert unpack("tiny.xz") == rows > 4
    assert unpack("tiny.xz") == 0
    report("tiny.toml")
    assert (tmp_path / "reports/tiny/results.csv").read_bytes() == wanted
    packed = (tmp_path / "tiny.xz").read_bytes()
    for name, content in {
        "cut.xz": packed[:-9],
        "none.xz": b"",
        "text.xz": lzma.compress(b"text"),
        "flip.xz": b"x" + packed,
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RequestError):
            unpack(name)


def test_report_without_results_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="run `zsbench run"):
        report("tiny.toml", store=tmp_path / "none.sqlite")


def test_processes_give_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Path("tiny.toml").resolve()
    results = []
    for workers in (1, 2):
        (tmp_path / str(workers)).mkdir()
        monkeypatch.chdir(tmp_path / str(workers))
        results.append(run_study(study, threads=1, workers=workers).results)
    wanted, found = results
    assert list(found["digest"]) == list(wanted["digest"])
    assert list(found["accuracy"]) == list(wanted["accuracy"])


def test_training_only_leaves_the_rest_to_a_later_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(STUDY)
    made = train_study("tiny.toml", device="cpu", threads=1)
    assert [c.header.seed for c in made] == [0, 0, 1, 1]
    assert not stored_rows()
    assert not Path("reports/tiny").exists()
    later = run_study("tiny.toml", device="cpu", threads=1)
    assert later.trained == 0
    assert set(later.results["digest"]) == {c.digest for c in made}
    with pytest.raises(RequestError, match="trains nothing"):
        train_study("table10")


def test_a_diverged_study_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wild.toml").write_text(STUDY.replace('"tiny"', '"wild"').replace("epochs = 2", "epochs = 2\nlearning_rate = 1e6"))
    result = run_study("wild.toml")
    text = Path("reports/wild/report.md").read_text()
    assert all(math.isfinite(a) for a in result.results["accuracy"])
    if any(read_checkpoint(p).header.diverged_at for p in Path("checkpoints/wild").glob("*.safetensors")):
        assert "Diverged" in text


def test_studies_of_the_repository_are_those_in_the_package() -> None:
    root = Path(__file__).parents[2]
    ours = {p.name: p.read_text() for p in (root / "benchmarks").glob("*.toml")}
    shipped = {p.name: p.read_text() for p in (root / "robustbench_zs" / "benchmarks").glob("*.toml")}
    assert ours
    assert ours == shipped


@pytest.mark.parametrize("name", ["digits", "cifar10-small"])
def test_shipped_studies_are_found_from_anywhere(name: str) -> None:
    assert load_study(find_study(name)).name == name
    assert len(load_study(name).specs()) == 10


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds = [0, 1]", "seeds = [0, 0]", "twice"),
        ("delta = [0.1, 0.2]", "delta = [-1]", "delta"),
        ("delta = [0.1, 0.2]", "delta = [nan]", "number"),
        ('kind = "pgd"', 'kind = "magic"', "kind"),
        ("depths = [8]", "depths = [9]", "6n\\+2"),
        ("beta = 1.5", "beta = 'x'", "coefficient"),
        ("steps = 2", "steps = 0", "steps"),
        ("seeds = [0, 1]", "seeds = [-1]", "seeds"),
        ('"euler"', '"oiler"', "oiler"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in STUDY
    (tmp_path / "bad.toml").write_text(STUDY.replace(old, new))
    with pytest.raises(RequestError, match=message):
        load_study(tmp_path / "bad.toml")


def test_a_study_goes_on_in_the_precision_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was trained on a GPU, in bfloat16, is reported on a machine without one, and not trained again."""
    monkeypatch.chdir(tmp_path)  # networks of the other tests, in float32, are not known here
    text = STUDY.replace('"tiny"', '"half"').replace("[0, 1]", "[0]").replace("masking_images = 60", "")
    Path("half.toml").write_text(text.replace("[recipe]", '[recipe]\nprecision = "bfloat16"'))
    begun = run_study("half.toml")
    assert begun.trained == 2
    Path("half.toml").write_text(text.replace("[recipe]", '[recipe]\nprecision = "auto"'))
    again = run_study("half.toml")
    assert (again.trained, again.evaluated) == (0, 0)
    assert report("half.toml").results["digest"].tolist() == begun.results["digest"].tolist()


def test_a_study_with_transfer_attacks_and_curves_reports_both(working_folder: Path) -> None:
    study = Study.model_validate(
        {
            "name": "transfer",
            "schemes": ["table10-1", "table10-10"],
            "widths": [2, 2, 2],
            "seeds": [0, 1],
            "masking_images": 0,
            "dataset": {"name": "digits", "train_examples": 64, "test_examples": 50},
            "recipe": {"epochs": 1, "batch_size": 16},
            "transfer": {"eps": "8/255", "steps": 2},
            "curve": {"eps": "16/255", "steps": 2},
        }
    )
    done = run_study(study, threads=1)
    assert (done.trained, done.evaluated) == (4, 4 + 2)
    text = (done.folder / "report.md").read_text()
    assert "## Do adversarial examples transfer?" in text
    assert "## Robustness curves" in text
    assert "- Evaluated with the same." in text
    assert b"<svg" in (done.folder / "curves.svg").read_bytes()
    assert len(pd.read_csv(done.folder / "curves.csv")) == 4
    rows = pd.read_csv(done.folder / "transfer.csv")
    assert list(zip(rows["source_scheme"], rows["scheme"], strict=True)) == list(
        product(["table10-1", "table10-10"], repeat=2)
    )
    again = run_study(study, threads=1)
    assert (again.trained, again.evaluated) == (0, 0)
    assert (again.folder / "report.md").read_text() == text


def test_a_study_of_the_same_networks_is_called_no_independent_evidence() -> None:
    """With a search of the smallest ε the attacks of its norm are covered by that."""
    run_study("tiny.toml")
    curve = '\n[curve]\neps = "8/255"\nsteps = 2\n'
    Path("again.toml").write_text(STUDY.replace('"tiny"', '"again"\ncheckpoints = "tiny"', 1) + curve)
    assert run_study("again.toml").trained == 0
    text = Path("reports/again/report.md").read_text()
    assert "All 4 networks are also in [`tiny`](../tiny/report.md)" in text
    tested = pd.read_csv("reports/again/correlations.csv")["outcome"].tolist()
    assert "mean smallest ε" in tested
    assert not [outcome for outcome in tested if "pgd" in outcome]
    shutil.rmtree("reports/again")
