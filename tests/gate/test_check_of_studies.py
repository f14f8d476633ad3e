"""The gate from the command line and from pytest, on networks that are really trained."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import nn

from robustbench_zs import RequestError, Rule, check, make_baseline, read_baseline
from robustbench_zs.cli.main import main
from robustbench_zs.studies.check import NoVerdictWarning
from robustbench_zs.training import read_checkpoint
from robustbench_zs.training.checkpoint import save_checkpoint

STUDY = """
name = "small"
networks = ["zerosnet20-opt:widths=4-8-16", "table10-1:depth=20,widths=4-8-16"]
seeds = [0]
[dataset]
name = "digits"
train_examples = 300
[recipe]
epochs = 5
batch_size = 16
learning_rate = 0.05
[[perturbations]]
kind = "gaussian"
delta = 0.1
[[perturbations]]
kind = "fgsm"
eps = 0.05
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that ran and its baseline."""
    folder = tmp_path_factory.mktemp("gate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("small.toml").write_text(STUDY)
        make_baseline("small.toml", "baseline.json", device="cpu", threads=1)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_command(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run_command


def degrade(folder: Path, scale: float = 0.3) -> None:
    """Noise on the weights of the zero-stable network's checkpoint."""
    (path,) = folder.glob("checkpoints/small/zerosnet20*.safetensors")
    checkpoint = read_checkpoint(path)
    generator = torch.Generator().manual_seed(0)
    network = checkpoint.network()
    tensors = {
        name: t + scale * t.std() * torch.randn(t.shape, generator=generator) if t.ndim == 4 and t.numel() > 1 else t
        for name, t in checkpoint.tensors.items()
    }
    network.load_state_dict(tensors)
    save_checkpoint(path, network, checkpoint.header)


def test_the_same_weights_stay_green(folder: Path, run: Run) -> None:
    code, out, err = run("check", "small.toml", "--baseline", "baseline.json")
    assert code == 0
    assert out.count("unchanged") == 8
    assert out.count("all together") == 2
    assert "about these weights, not about the recipe" in err
    assert "With 80% power this check detects a drop of" in err


def test_degraded_weights_turn_red_and_are_named(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    degrade(folder)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    weights = ["check", "small.toml", "--baseline", "baseline.json", "--about", "weights"]
    code, out, err = run(*weights, "--strict", "--junit", "junit.xml", "--format", "json")
    assert code == 1
    rows = {(r["network"], r["perturbation"]): r for r in json.loads(out)}
    row = rows["zerosnet20-opt:widths=4-8-16", "clean"]
    assert row["verdict"] == "regression"
    assert rows["table10-1:depth=20,widths=4-8-16", "clean"]["verdict"] == "unchanged"
    suite = ElementTree.parse(folder / "junit.xml").getroot()
    cases = suite.findall("testcase")
    failed = [case for case in cases if case.find("failure") is not None]
    assert (suite.get("tests"), suite.get("failures")) == ("8", str(len(failed)))
    failure = failed[0].find("failure")
    assert failure is not None
    assert failure.get("message") == f"clean: drop of {-row['change']:.2f} points, adjusted p = {row['adjusted_p']:.2g}"
    assert "::error title=zsbench%3A regression::zerosnet20-opt" in err
    summary = (folder / "summary.md").read_text()
    assert summary.startswith(f"## zsbench check small: {len(failed)} regressions")
    assert summary.index("regression |") < summary.index("unchanged |")


def test_a_larger_minimum_lets_it_pass(folder: Path, run: Run) -> None:
    degrade(folder)
    check_weights = ["check", "small.toml", "--baseline", "baseline.json", "--about", "weights"]
    assert run(*check_weights, "--min-drop", "100")[0] == 0


def test_a_single_seed_that_was_trained_again_gives_no_verdict(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    degrade(folder)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    asked = ["check", "small.toml", "--baseline", "baseline.json"]
    code, out, err = run(*asked, "--junit", "junit.xml", "--format", "json")
    assert code == 0
    assert err.count("No verdict on 1 of 2 networks") == 2  # said, and as an annotation
    assert "::warning title=zsbench%3A no verdict::" in err
    (row,) = [r for r in json.loads(out) if r["verdict"] == "no verdict" and r["perturbation"] == "clean"]
    assert (row["level"], row["p"], row["adjusted_p"], row["detectable"]) == ("single seed", None, None, None)
    assert row["change"] < 0
    suite = ElementTree.parse(folder / "junit.xml").getroot()
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "3")
    code, _, err = run(*asked, "--strict")
    assert code == 2
    assert err.strip().splitlines()[-1] == (
        "Error: --strict requires a verdict on every network: see above for those that have none"
    )
    with pytest.warns(NoVerdictWarning, match="about these weights instead"):
        found = check("small.toml", "baseline.json", device="cpu", threads=1)
    assert found.passed
    assert found.no_verdict
    with pytest.raises(RequestError, match="No verdict on 1 of 2 networks"):
        check("small.toml", "baseline.json", strict=True, device="cpu", threads=1)
    with pytest.raises(RequestError, match="recipe or weights, not 'seeds'"):
        check("small.toml", "baseline.json", about="seeds", device="cpu", threads=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), 0.0], ids=["no answers", "one answer"])
def test_a_network_that_collapsed_turns_red(folder: Path, run: Run, value: float) -> None:
    (path,) = folder.glob("checkpoints/small/zerosnet20*.safetensors")
    checkpoint = read_checkpoint(path)
    network = checkpoint.network()
    network.load_state_dict({name: torch.full_like(t, value) if t.ndim else t for name, t in checkpoint.tensors.items()})
    save_checkpoint(path, network, checkpoint.header)
    # All answers are 0 now: about a tenth of them is right, which --about weights must be asked for.
    code, out, err = run("check", "small.toml", "--baseline", "baseline.json", *["--about", "weights"][: 2 * (value == 0)])
    assert code == 1, err
    assert "regression" in out


def test_the_baseline_is_small_and_tells_every_setting(made: Path) -> None:
    content = json.loads((made / "baseline.json").read_text())
    assert (made / "baseline.json").stat().st_size < 4000
    assert content["settings"]["recipe"]["epochs"] == 5
    assert set(content["settings"]["perturbations"]) == {"clean", "gaussian(delta=0.1)", "fgsm(eps=0.05)"}
    read = read_baseline(made / "baseline.json")
    for entry, network in zip(read.entries, content["networks"], strict=True):
        for label, correct in entry.correct.items():
            assert 100 * correct.mean() == pytest.approx(network["outcomes"][label]["accuracy"], abs=1e-3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("delta = 0.1", "delta = 0.2", r"settings: perturbations\.gaussian"),
        ("epochs = 5", "epochs = 1", r"recipe\.epochs was 5 and is 1 now"),
        ("seeds = [0]", "seeds = [1]", "networks was"),
        ('name = "small"', 'name = "other"', 'study was "small" and is "other" now'),
        ("train_examples = 300", "train_examples = 16\ntest_examples = 50", "test_digest"),
    ],
)
def test_other_settings_are_refused_before_anything_is_trained(folder: Path, old: str, new: str, message: str) -> None:
    (folder / "small.toml").write_text(STUDY.replace(old, new))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    with pytest.raises(RequestError, match=message):
        check("small.toml", "baseline.json", device="cpu", threads=1)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")} == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "{}",
        lambda text: text.replace('"images": 360', '"images": 361000'),
        lambda text: text.replace('"correct": "', '"correct": "*'),
        lambda text: text.replace('"accuracy": ', '"accuracy": 1e999, "x": '),
        lambda text: text.replace('"digest": "', '"digest": "../'),
        lambda text: text.replace('"fgsm(eps=0.05)": {\n     "acc', '"other": {\n     "acc', 1),
        lambda text: "",
    ],
)
def test_a_damaged_baseline_is_refused(folder: Path, run: Run, damage: Callable[[str], str]) -> None:
    path = folder / "baseline.json"
    path.write_text(damage(path.read_text()))
    code, _, err = run("check", "small.toml", "--baseline", "baseline.json")
    assert code == 2
    assert "is not a baseline" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("size", ["0", "-1"])
def test_an_impossible_batch_size_is_refused(folder: Path, run: Run, size: str) -> None:
    for models in ([], ["--model", "torch.nn:Identity"]):
        code, _, err = run("check", "small.toml", "--baseline", "baseline.json", "--batch-size", size, *models)
        assert code == 2
        assert "the batch size must lie between 1 and" in err


def test_a_baseline_that_is_not_there(folder: Path, run: Run) -> None:
    code, _, err = run("check", "small.toml", "--baseline", "no.json")
    assert code == 2
    assert "there is no baseline no.json" in err


def test_a_model_of_the_users_own_is_always_evaluated_afresh(folder: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        weights = next(model.parameters())
        images = torch.rand(10, 64, generator=torch.Generator().manual_seed(0))
        weights.copy_(images - images.mean())
    make_baseline("small.toml", "own.json", models=[model])
    found = check("small.toml", "own.json", models=[model])
    assert {c.verdict for c in found.comparisons} == {"unchanged"}
    assert len(found.comparisons) == 4
    with pytest.raises(RequestError, match="models was true and is false now"):
        check("small.toml", "own.json", device="cpu", threads=1)


def test_two_networks_of_one_factory_are_told_apart_by_their_place(folder: Path) -> None:
    models = [nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(2)]
    made = make_baseline("small.toml", "own.json", models=models)
    assert [entry.network for entry in made.entries] == ["Sequential (1)", "Sequential (2)"]
    changed = check("small.toml", "own.json", models=models[::-1])
    clean = {c.network: (c.before, c.now) for c in changed.comparisons if c.perturbation == "clean"}
    assert clean["Sequential (1)"] == clean["Sequential (2)"][::-1]


def test_torchvisions_resnet18_passes_through_model(folder: Path, run: Run) -> None:
    (folder / "wide.py").write_text(
        "import torch, torchvision\nfrom torch import nn\n\n"
        "class Wide(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.inner = torchvision.models.resnet18(num_classes=10)\n"
        "    def forward(self, x):\n        return self.inner(x.expand(-1, 3, -1, -1).repeat_interleave(4, 2))\n"
    )
    options = ["--model", "wide:Wide", "--device", "cpu"]
    (folder / "small.toml").write_text(STUDY.replace("train_examples = 300", "train_examples = 300\ntest_examples = 20"))
    assert run("baseline", "small.toml", *options, "--out", "wide.json")[0] == 0
    code, out, err = run("check", "small.toml", *options, "--baseline", "wide.json", "--format", "csv")
    assert code == 0, err
    assert out.count("wide:Wide") == 4


TEST = """
import pytest
import torch
from torch import nn

def model(right):
    linear = nn.Linear(64, 10)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), linear)
    from robustbench_zs import load_dataset
    train = load_dataset("digits").train
    x, y = train.images().flatten(1), nn.functional.one_hot(train.labels, 10).float() * 2 - 1
    solution = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1)], 1) + 1e-4 * torch.randn(len(x), 65), y).solution
    with torch.no_grad():
        linear.weight.copy_(solution[:64].T)
        linear.bias.copy_(solution[64])
        if not right:
            linear.weight[3] += 0.2
    return module

@pytest.fixture(scope="{scope}")
def good(zsbench_check):
    return zsbench_check(model(True), "small.toml", "plugin.json")

def test_good(good):
    pass

def test_bad(zsbench_check):
    zsbench_check(model(False), "small.toml", "plugin.json")

def test_recipe(zsbench_check):
    assert zsbench_check(model(False), "small.toml", "plugin.json", about="recipe").passed

def test_strict_recipe(zsbench_check):
    zsbench_check(model(False), "small.toml", "plugin.json", about="recipe", strict=True)
"""


def test_the_pytest_plugin(folder: Path) -> None:
    checks = folder / "checks"
    checks.mkdir()
    scopes = ("module", "session")
    for scope in scopes:
        (checks / f"test_{scope}.py").write_text(TEST.replace("{scope}", scope).replace("plugin.json", f"{scope}.json"))

    def pytest_run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "checks", *options]
        return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=200)

    written = pytest_run("--zsbench-update", "-k", "good")
    assert written.returncode == 0, written.stdout
    for scope in scopes:
        (folder / f"{scope}.json").rename(checks / f"{scope}.json")
    done = pytest_run()
    assert done.returncode == 1
    assert "4 failed, 4 passed, 2 warnings" in done.stdout
    assert "NoVerdictWarning: No verdict on 1 of 1 networks" in done.stdout
    assert done.stdout.count("Sequential got worse") >= 2
    assert "| regression |" in done.stdout
    for scope in scopes:
        (checks / f"{scope}.json").unlink()
    absent = pytest_run("-k", "good").stdout
    for scope in scopes:
        assert f"there is no baseline {scope}.json" in absent


def test_rules_reach_the_decision(folder: Path) -> None:
    degrade(folder)
    lenient = check("small.toml", "baseline.json", rule=Rule(min_drop=99.0), about="weights", device="cpu", threads=1)
    assert lenient.passed
    assert not check("small.toml", "baseline.json", about="weights", device="cpu", threads=1).passed
    table = lenient.table()
    assert list(table["network"].unique()) == ["zerosnet20-opt:widths=4-8-16", "table10-1:depth=20,widths=4-8-16"]
    assert np.allclose(table["now"] - table["before"], table["change"])
