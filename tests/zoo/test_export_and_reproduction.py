"""The zoo of a tiny study: made, read, evaluated again, and caught where it was tampered with."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import export_zoo
import pandas as pd
import pytest
import reproduce_zoo
from finished import finished_study
from reproduce_zoo import How, disagreements, read_outcomes, reproduced
from round_weights import Judgement, round_weights

from robustbench_zs import RequestError, load_model, load_study, read_baseline, run_study
from robustbench_zs.gate.baseline import Baseline, Entry, write_baseline_file
from robustbench_zs.training import find_checkpoints, zoo

STUDY = """
name = "tiny"
schemes = ["table10-1", "zerosnet-opt"]
depths = [8]
widths = [4, 4, 8]
seeds = [0, 1]
masking_images = 0
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
eps = ["2/255", "8/255"]
steps = 2
[scale.smoke]
epochs = 1
"""
MORE = (
    STUDY.partition("[[pert")[0]
    .replace('"tiny"', '"tiny-more"\ncheckpoints = "tiny"')
    .replace("[0, 1]", "[0]")
    .replace("test_examples = 40", "test_examples = 20")
    + '[[perturbations]]\nkind = "fgsm"\neps = "8/255"\n[scale.smoke]\nepochs = 1\n'
)
STORE = Path("reports/results.sqlite")
ZOO = Path("checkpoints/zoo/digits")
ALLOWED = Judgement(tolerance=2 * 100 / 40, attack_tolerance=2 * 100 / 40, device="cpu")
"""Two images of 40."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with both studies done and their zoo."""
    path = tmp_path_factory.mktemp("zoo")
    (path / "benchmarks").mkdir()
    (path / "benchmarks" / "tiny.toml").write_text(STUDY)
    (path / "benchmarks" / "tiny-more.toml").write_text(MORE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        assert run_study("tiny", device="cpu", threads=1).trained == 4
        rounded = round_weights(finished_study("tiny", None, None, STORE), STORE, ALLOWED)
        assert set(rounded["Stored in"]) == {"float16"}
        assert run_study("tiny", device="cpu", threads=1).evaluated == 2  # the first seed's networks, now rounded
        more = run_study("tiny-more", device="cpu", threads=1)
        assert (more.trained, more.evaluated) == (0, 2)  # its networks are those of the other study
        export_zoo.export_zoo([finished_study(name, None, None, STORE) for name in ("tiny", "tiny-more")])
    return path


@pytest.fixture(autouse=True)
def _copy_as_working_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zoo, "SHIPPED", tmp_path / "package")


def test_the_files_of_the_zoo() -> None:
    assert sorted(p.name for p in ZOO.iterdir()) == [
        "table10-1_depth_8_widths_4-4-8-seed0.safetensors",
        "table10-1_depth_8_widths_4-4-8.md",
        "tiny-more-test.json",
        "tiny-test.json",
        "tiny-train.json",
        "zerosnet8-opt_widths_4-4-8-seed0.safetensors",
        "zerosnet8-opt_widths_4-4-8.md",
    ]
    shutil.rmtree("checkpoints/tiny")
    assert load_model("zerosnet8-opt:widths=4-4-8", "digits").eval() is not None
    outcomes = read_baseline(ZOO / "tiny-test.json")
    assert [e.seed for e in outcomes.entries] == [0, 0, 1, 1]
    card = (ZOO / "zerosnet8-opt_widths_4-4-8.md").read_text()
    for text in (
        "1/3, 5/9, 1/9; 16/9",
        "1.00, 0.33, 0.33",
        "epochs 2",
        "Training of seed 1",
        "Seed 0 [95% interval]",
        "fgsm",
    ):
        assert text in card
    results = pd.read_csv("reports/tiny/results.csv")
    row = results[(results["network"] == "zerosnet8-opt:widths=4-4-8") & (results["seed"] == 1)].iloc[1]
    assert f"{row['accuracy']:.2f}" in card


def test_the_numbers_come_again() -> None:
    frame = reproduced(ZOO, How(store=None))
    assert len(frame) == 2 * (1 + 5 + 2)
    assert frame["difference"].abs().max() == 0
    assert set(frame["split"]) == {"train", "test"}
    only = reproduced(ZOO, How(store=None, kinds=("gaussian",), examples=20))
    assert set(only["perturbation"]) == {"gaussian(delta=0.1)", "gaussian(delta=0.2)"}
    assert set(only["images"]) == {20}
    with pytest.raises(RequestError, match="no outcomes under 'l2'; there are: clean, fgsm, gaussian, pgd"):
        reproduced(ZOO, How(kinds=("l2",)))
    assert disagreements(ZOO, Path("reports")) == (4 + 4 * 5 + 2 * 2, [])


def rewrite(name: str, image: int = 0) -> None:
    """Turn one outcome of the second seed's first network around."""
    baseline = read_baseline(ZOO / name)
    entries = []
    for number, entry in enumerate(baseline.entries):
        correct = {label: array.copy() for label, array in entry.correct.items()}
        if number == 2:
            correct["clean"][image] = ~correct["clean"][image]
        entries.append(Entry(entry.network, entry.seed, entry.digest, correct))
    write_baseline_file(ZOO / name, Baseline(baseline.study, baseline.settings, tuple(entries)))


def test_an_outcome_that_was_changed_is_noticed_in_the_card_and_the_report() -> None:
    rewrite("tiny-test.json")
    _, wrong = disagreements(ZOO, Path("reports"))
    assert len(wrong) == 2
    assert "the accuracies in" in wrong[0]
    assert "seed 1 under clean is" in wrong[1]


def test_other_images_and_other_perturbations_are_refused() -> None:
    text = (ZOO / "tiny-test.json").read_text()
    digest = read_outcomes(ZOO)["tiny-test.json"].settings["digest"]
    (ZOO / "tiny-test.json").write_text(text.replace(digest, 64 * "0"))
    with pytest.raises(RequestError, match="the test images of digits at hand are not those of 'tiny', or in another order"):
        reproduced(ZOO, How(store=None, kinds=("gaussian",)))
    (ZOO / "tiny-test.json").write_text(text)
    study = Path("benchmarks/tiny.toml")
    study.write_text(study.read_text().replace('kind = "gaussian"', 'kind = "gaussian"\nseed = 5'))
    with pytest.raises(RequestError, match="made with other perturbations"):
        reproduced(ZOO, How(store=None))


def test_weights_of_another_network_are_refused() -> None:
    first, second = sorted(ZOO.glob("*.safetensors"))
    assert first != second
    shutil.copy(next(c.path for c in find_checkpoints("checkpoints/tiny") if c.header.seed == 1), first)
    frame = reproduced(ZOO, How(store=None, kinds=("clean",)))  # right: it is seed 1's network, with its outcomes
    assert set(frame["seed"]) == {0, 1}
    text = (ZOO / "tiny-test.json").read_text()
    for entry in read_outcomes(ZOO)["tiny-test.json"].entries:
        text = text.replace(entry.digest, 64 * "1")
    (ZOO / "tiny-test.json").write_text(text)
    with pytest.raises(RequestError, match="is not of the weights whose outcomes 'tiny' has"):
        reproduced(ZOO, How(store=None, kinds=("clean",)))


def originals() -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in Path("checkpoints/tiny").glob("*.float32")}


def restore() -> None:
    for path in Path("checkpoints/tiny").glob("*.float32"):
        path.rename(path.with_suffix(""))


def test_the_zoo_has_the_rounded_weights_that_were_measured() -> None:
    measured = read_outcomes(ZOO)["tiny-test.json"].entries
    assert {c.digest for c in find_checkpoints(ZOO)} == {e.digest for e in measured if e.seed == 0}
    assert all(c.header.rounded_from for c in find_checkpoints(ZOO))
    results = pd.read_csv("reports/tiny/results.csv")
    assert {c.digest for c in find_checkpoints(ZOO)} == set(results.loc[results["seed"] == 0, "digest"])


def test_the_original_weights_stay_and_rounding_again_does_nothing() -> None:
    before = originals()
    assert len(before) == 2
    assert round_weights(finished_study("tiny", None, None, STORE), STORE, ALLOWED).empty
    assert originals() == before
    rounded = {c.header.rounded_from for c in find_checkpoints("checkpoints/tiny")} - {None}
    restore()
    assert rounded == {c.digest for c in find_checkpoints("checkpoints/tiny") if c.header.seed == 0}


def test_what_rounding_changes_too_much_stays_float32() -> None:
    restore()
    study = finished_study("tiny", None, None, STORE)
    table = round_weights(study, STORE, Judgement(attack_tolerance=-1.0, device="cpu"))
    assert set(table["Stored in"]) == {"float32"}
    assert not originals()
    assert not any(c.header.rounded_from for c in find_checkpoints("checkpoints/tiny"))


def test_a_kind_that_was_not_asked_is_named() -> None:
    """Else a slip would let clean images alone judge the rounding."""
    with pytest.raises(RequestError, match="no outcomes under 'gausian'"):
        round_weights(finished_study("tiny", None, None, STORE), STORE, Judgement(kinds=["gausian"]))


def test_weights_that_are_gone_cannot_be_rounded() -> None:
    next(Path("checkpoints/tiny").glob("zerosnet*seed0*.safetensors")).unlink()
    with pytest.raises(RequestError, match="is gone: its weights cannot be rounded"):
        round_weights(finished_study("tiny", None, None, STORE), STORE)


@pytest.mark.parametrize(
    ("limit", "message"), [("MAX_FILE_BYTES", "a file of the zoo has 2,000 at most"), ("MAX_ZOO", "the zoo would have")]
)
def test_what_is_too_large_is_refused_and_nothing_is_written(
    limit: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_zoo, limit, 2_000)
    before = {p: p.stat().st_mtime_ns for p in ZOO.iterdir()}
    with pytest.raises(RequestError, match=message):
        export_zoo.export_zoo([finished_study("tiny", None, None, STORE)])
    assert {p: p.stat().st_mtime_ns for p in ZOO.iterdir()} == before


def test_a_study_that_is_not_finished_gives_what_it_has() -> None:
    for path in Path("checkpoints/tiny").glob("zerosnet*seed1*"):
        path.unlink()
    study = Path("benchmarks/tiny.toml")
    study.write_text(study.read_text().replace("seeds = [0, 1]", "seeds = [0, 1, 2]"))
    found = finished_study("tiny", None, None, STORE)
    assert [n.removesuffix(":widths=4-4-8") for n in found.unfinished] == [
        "table10-1:depth=8,widths=4-4-8 seed 2",
        "zerosnet8-opt:widths=4-4-8 seed 2",
    ]
    assert len(found.networks) == 4  # outcomes outlive the weights
    with pytest.raises(RequestError, match="no network of the study 'tiny-smoke' is finished"):
        finished_study("tiny", "smoke", None, STORE)


def test_links_of_the_package(tmp_path: Path) -> None:
    place, package = tmp_path / "checkpoints" / "zoo", tmp_path / "package"
    stale = package / "digits" / "gone.md"
    stale.parent.mkdir(parents=True)
    stale.symlink_to("nowhere")
    export_zoo.link_files(sorted((place / "digits").iterdir()), place, package)
    assert {p.name: p.read_bytes() for p in (package / "digits").iterdir()} == {
        p.name: p.read_bytes() for p in (place / "digits").iterdir()
    }
    assert all(not Path(p.readlink()).is_absolute() for p in (package / "digits").iterdir())


def test_the_command_says_by_its_exit_code_whether_something_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reproduce_zoo, "available_cores", lambda: 1)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["reproduce_zoo.py", "--dataset", "digits", "--kinds", "clean", *arguments])
        return reproduce_zoo.main()

    monkeypatch.setattr(reproduce_zoo, "TOLERANCE", 100 / 40)
    assert run() == 0
    assert "6 accuracies from weights" in capsys.readouterr().out
    assert Path("reports/zoo-reproduced.sqlite").is_file()
    rewrite("tiny-test.json")
    assert run() == 1
    assert "Differs: the accuracies in" in capsys.readouterr().out
    assert run("--zoo", "nowhere") == 2
    assert "the zoo is empty there" in capsys.readouterr().err


def test_a_scale_goes_to_the_checkpoints_of_the_same_scale() -> None:
    assert load_study("tiny-more", "smoke").checkpoints == "tiny-smoke"
    assert load_study("tiny", "smoke").checkpoints is None
