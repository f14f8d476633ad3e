"""The command line as a user has it: a process of its own in an empty folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from robustbench_zs.cli.main import main
from robustbench_zs.perturbations import FGSM, PGD, ConstantNoise, GaussianNoise, Perturbation, Square, UniformNoise
from robustbench_zs.reporting.commands import command_of
from robustbench_zs.training import Checkpoint

RunResult = subprocess.CompletedProcess[str]


def zsbench(*arguments: str, cwd: Path, timeout: float = 240) -> RunResult:
    command = [sys.executable, "-m", "robustbench_zs.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)


Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a request in an empty folder, within this process since torch takes seconds to import; gives its sentence."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        printed = capsys.readouterr()
        assert end.value.code == 2, printed.err
        assert printed.out == ""
        assert "Traceback" not in printed.err
        return printed.err.strip().splitlines()[-1]

    return run


def test_help_imports_neither_torch_nor_pandas(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom robustbench_zs.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "sys.exit(bool({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_roots_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom robustbench_zs.cli.main import main\n"
        "try:\n    main(['roots', '2', '-1'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_options_that_attacks_declare_need_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom robustbench_zs.cli.main import main\n"
        "try:\n    main(['attack', '--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert shown.returncode == 0
    for option in ("--eps ε[,ε…]", "--attack-seed N", "--no-ladder", "--queries N", "[linf|l2]", "[default: 10;"):
        assert option in shown.stdout


TABLE_10 = [  # moduli and verdict as printed in the paper
    ("1.84 0.74 0.74", False),
    ("0.57 1.00 2.18", False),
    ("4.24 0.24 1.00", False),
    ("1.88 0.13 1.00", False),
    ("1.00 0.87 0.87", True),
    ("0.81 0.61 0.61", True),
    ("0.94 0.33 0.33", True),
    ("1.00 0.52 0.52", True),
    ("0.60 0.82 0.82", True),
    ("0.33 0.33 1.00", True),
]


def test_catalog_reproduces_table_10(tmp_path: Path) -> None:
    rows = {row["scheme"]: row for row in json.loads(zsbench("roots", "--catalog", "--format", "json", cwd=tmp_path).stdout)}
    for number, (moduli, zero_stable) in enumerate(TABLE_10, 1):
        row = rows[f"table10-{number}"]
        assert sorted(f"{m:.2f}" for m in row["moduli"]) == sorted(moduli.split())
        assert row["zero_stable"] is zero_stable


def test_negative_coefficients_are_typed_plainly(tmp_path: Path) -> None:
    row = json.loads(zsbench("roots", "2", "-1", "--beta", "-0.5", "--format", "json", cwd=tmp_path).stdout)[0]
    assert (row["alphas"], row["beta"], row["zero_stable"]) == (["2", "-1"], "-0.5", False)
    assert json.loads(zsbench("roots", "--lambda", "-9/5", "--format", "json", cwd=tmp_path).stdout)[0]["zero_stable"]


def test_consistency_without_beta_is_null(tmp_path: Path) -> None:
    row = json.loads(zsbench("roots", "1", "--format", "json", cwd=tmp_path).stdout)[0]
    assert row["consistent"] is None
    assert row["parasitic_modulus"] is None


def test_a_prediction_of_the_atlas_takes_beta(tmp_path: Path) -> None:
    assert "β is not known (give it with --beta)" in zsbench("roots", "1", "--depth", "20", cwd=tmp_path).stdout
    assert "--beta" not in zsbench("roots", "1", "--beta", "1", "--depth", "20", cwd=tmp_path).stdout


def test_roots_to_csv_and_a_picture(tmp_path: Path) -> None:
    assert zsbench("roots", "--catalog", "--plot", "roots.png", "--output", "roots.csv", cwd=tmp_path).returncode == 0
    assert (tmp_path / "roots.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "roots.csv").read_text().startswith("schema_version,scheme,alphas")


def test_networks_are_listed_with_their_parameters(tmp_path: Path) -> None:
    rows = json.loads(zsbench("networks", "zerosnet56-opt", "preresnet20", "--format", "json", cwd=tmp_path).stdout)
    assert [row["parameters"] for row in rows] == [860_698, 272_282]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["roots"], ["--catalog"]),
        (["roots", "x"], ["'x'", "1/3"]),
        (["roots", "1", "--bta", "1"], ["--bta"]),
        (["roots", "--name", "eulr"], ["eulr", "euler"]),
        (["roots", "1", "--output", "a.xyz"], [".json"]),
        (["roots", "1e999999999"], ["coefficient"]),
        (["networks", "zerosnet21-opt"], ["6n+2", "21"]),
        (["evaluate", "--noise", "gaussian", "--delta", "0.02"], ["zsbench train"]),
        (["attack", "--pgd"], ["zsbench train"]),
        (["gap"], ["zsbench train"]),
        (["evaluate", "--noise", "gaussian"], ["--delta"]),
        (["evaluate", "--noise", "gaussian", "--delta", "-1"], ["delta", "-1"]),
        (["evaluate", "--noise", "uniform", "--low", "0.1", "--high", "-0.1"], ["low"]),
        (["evaluate", "--delta", "1"], ["--delta", "--noise"]),
        (["attack"], ["--pgd"]),
        (["attack", "--fgsm", "--pgd"], ["one of"]),
        (["train", "--scheme", "nonsense"], ["nonsense", "euler"]),
        (["train", "--depth", "20"], ["--scheme"]),
        (["train", "--epochs", "0"], ["epochs"]),
        (["train", "--dataset", "nowhere"], ["nowhere", "cifar10"]),
        (["train", "--seed", "-1"], ["a seed must lie", "-1"]),
        (["train", "--device", "abacus"], ["abacus"]),
        (["train", "--device", "meta"], ["meta", "use cpu"]),
        (["train", "--output", "a.xyz"], ["a.xyz", ".json"]),
        (["run", "nosuch"], ["nosuch", "digits"]),
        (["report", "digits"], ["zsbench run digits"]),
    ],
    ids=" ".join,
)
def test_a_wrong_request_gets_one_sentence(tmp_path: Path, refused: Refused, arguments: list[str], words: list[str]) -> None:
    sentence = refused(*arguments)
    for word in words:
        assert word in sentence
    assert not any(tmp_path.iterdir()), "something was left behind"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "a"\n[dataset]\nname = "digits"\nexampels = 3\n', ["dataset.exampels", "train_examples"]),
        ('name = "a"\nschemes = ["euler"]\n', ["dataset", "missing"]),
        ('name = "a"\nschemes = ["euler"]\n[dataset]\nname = "digits"\n[recipe]\nepochs = 0\n', ["epochs"]),
        ('name = "../a"\nschemes = ["euler"]\n[dataset]\nname = "digits"\n', ["name"]),
        ("not toml at all", ["TOML"]),
    ],
)
def test_a_wrong_study_file_is_named_with_its_place(tmp_path: Path, refused: Refused, text: str, words: list[str]) -> None:
    (tmp_path / "a.toml").write_text(text)
    sentence = refused("run", "a.toml")
    for word in ["a.toml", *words]:
        assert word in sentence


def test_a_text_file_is_no_checkpoint(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "a.safetensors").write_text("hello")
    assert "a.safetensors" in refused("evaluate", "a.safetensors")


def test_train_evaluate_attack_one_after_the_other(tmp_path: Path) -> None:
    """The three commands of the first page, with fewer epochs."""
    trained = zsbench("train", "--epochs", "2", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "zerosnet56-opt" in trained.stdout
    assert "table10-1" in trained.stdout
    noisy = zsbench("evaluate", "--noise", "gaussian", "--delta", "0.02", cwd=tmp_path)
    assert noisy.returncode == 0, noisy.stderr
    assert "gaussian(delta=0.02)" in noisy.stdout
    attacked = zsbench("attack", "--pgd", "--examples", "20", "--format", "json", cwd=tmp_path)
    assert attacked.returncode == 0, attacked.stderr
    rows = json.loads(attacked.stdout)
    assert [row["perturbation"] for row in rows] == ["pgd(eps=0.1, steps=10)"] * 2
    assert {row["zero_stable"] for row in rows} == {True, False}
    gaps = zsbench("gap", "--format", "csv", cwd=tmp_path)
    assert gaps.stdout.startswith("schema_version,checkpoint,digest,network")


def test_a_checkpoint_folder_that_is_a_file_cannot_be_finished(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("")
    result = zsbench("train", "--network", "preresnet8:widths=4-4-4", "--epochs", "1", cwd=tmp_path)
    assert result.returncode == 3
    assert "Traceback" not in result.stderr
    assert "checkpoints" in result.stderr


def test_a_recipe_is_shown_in_full_and_nothing_trained(tmp_path: Path) -> None:
    result = zsbench("train", "--recipe", "cifar10-code", "--epochs", "7", "--show-recipe", "--format", "json", cwd=tmp_path)
    settings = {row["setting"]: row["value"] for row in json.loads(result.stdout)}
    assert settings["optimizer"] == "SGD"
    assert (settings["epochs"], settings["weight_decay"], settings["weights"]) == (7, 5e-4, "best")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", [2, 8], ids=["while torch is imported", "in training"])
def test_interruption_ends_with_130(tmp_path: Path, seconds: float) -> None:
    command = [sys.executable, "-m", "robustbench_zs.cli", "train", "--epochs", "1000"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches the whole foreground group
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    "command", ["baseline digits --out", "check digits --baseline x --junit", "evaluate --output", "curve --plot"]
)
@pytest.mark.parametrize("out", ["", "folder"])
def test_what_is_no_file_to_write_is_refused_before_the_work(tmp_path: Path, command: str, out: str) -> None:
    (tmp_path / "folder").mkdir()
    ended = zsbench(*command.split(), out, cwd=tmp_path)
    assert ended.returncode == 2
    assert "Invalid value for '--" in ended.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    shown = zsbench("roots", "x", "--debug", cwd=tmp_path)
    assert "Traceback" in shown.stderr
    assert shown.returncode == 2  # 1 is a regression's


@pytest.mark.parametrize(
    "perturbation",
    [
        GaussianNoise(0.02),
        GaussianNoise(1 / 3, seed=7),
        UniformNoise(-0.08, 0),
        ConstantNoise(-0.3),
        FGSM(8 / 255),
        FGSM(0.1, "torchattacks"),
        PGD(2 / 255, steps=3),
        PGD(0.3, steps=40, step_size=0.01, restarts=2, seed=5),
        PGD(0.1, below=(0.05,), directions="bfloat16"),
        Square(0.1, queries=3),
    ],
    ids=lambda p: p.label,
)
def test_a_perturbation_says_what_to_type_for_it(
    perturbation: Perturbation, checkpoint: Checkpoint, working_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = command_of(perturbation)
    assert command is not None
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--examples", "5", "--format", "json", str(checkpoint.path)])
    assert end.value.code == 0
    row = json.loads(capsys.readouterr().out)[-1]
    assert row["perturbation"] == perturbation.label
    assert row["perturbation_seed"] == perturbation.seed_or_none
    assert row["engine"] == perturbation.engine_or_none
    assert row["directions"] == perturbation.directions_or_none
