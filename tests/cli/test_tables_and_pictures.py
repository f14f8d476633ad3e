"""Tables fit the screen with nothing cut, and one picture compares networks with nothing cut off."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from robustbench_zs.cli.main import main
from robustbench_zs.cli.table import LEFT, Column, folded, laid_out
from robustbench_zs.reporting.comparison import networks_compared, picture
from robustbench_zs.training import Checkpoint

Say = Callable[..., str]
NAMES = st.text("abcdefgh0123456789-:=,._", min_size=1, max_size=60)


@pytest.fixture
def say(working_folder: Path, checkpoint: Checkpoint, diverged: Checkpoint, capsys: pytest.CaptureFixture[str]) -> Say:
    """What a command prints on standard output, in a folder with two checkpoints of one network and seed."""
    (working_folder / "checkpoints").mkdir()
    shutil.copy(checkpoint.path, working_folder / "checkpoints" / "good.safetensors")
    shutil.copy(diverged.path, working_folder / "checkpoints" / "bad.safetensors")

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        printed = capsys.readouterr()
        assert end.value.code == 0, printed.err
        return str(printed.out)

    return run


COMMANDS = [
    ["evaluate", "--noise", "gaussian", "--delta", "0.02,0.3", "--examples", "20"],
    ["attack", "--pgd", "--eps", "0.05,0.1", "--steps", "2", "--examples", "20"],
    ["attack", "--pgd", "--from", "checkpoints/good.safetensors", "--steps", "2", "--examples", "20"],
    ["curve", "--steps", "4", "--examples", "20"],
    ["gap", "--examples", "20"],
    ["masking", "--images", "1", "--queries", "2", "--examples", "20"],
    ["compare", "checkpoints/good.safetensors", "checkpoints/bad.safetensors", "--examples", "20"],
    ["run", "digits", "--plan"],
    ["networks", "zerosnet164-opt", "preresnet32:alpha=0.7"],
    ["list"],
    ["roots", "--catalog", "--depth", "56"],
    ["train", "--show-recipe"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_tables_fit_eighty_columns(say: Say, command: list[str]) -> None:
    table = say(*command)
    assert max(map(len, table.splitlines())) <= 80
    assert "…" not in table


def test_columns_of_the_surroundings_count(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    request = ["evaluate", "--examples", "20"]
    wide = say(*request)
    assert "Dataset" in wide.splitlines()[1]
    monkeypatch.setenv("COLUMNS", "60")
    narrow = say(*request)
    assert max(map(len, narrow.splitlines())) <= 60 < max(map(len, wide.splitlines()))
    say(*request, "--output", "rows.txt")
    assert Path("rows.txt").read_text(encoding="utf-8").split() == wide.split()


def test_networks_of_one_name_are_told_apart(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    table = say("evaluate", "--examples", "20")
    assert "widths=4-8-16 good.safetensors" in table
    assert "widths=4-8-16 bad.safetensors" in table


@given(NAMES, st.integers(1, 40))
def test_folding_loses_nothing(name: str, width: int) -> None:
    lines = folded(name, width)
    assert "".join(lines) == name
    assert max(map(len, lines)) <= width


@given(st.lists(st.tuples(NAMES, NAMES, st.integers(0, 10**6)), min_size=1, max_size=4), st.integers(60, 120))
def test_every_name_is_there_in_full(rows: list[tuple[str, str, int]], width: int) -> None:
    names, checkpoints, numbers = zip(*rows, strict=True)
    assert {"Network", "Checkpoint"} <= LEFT
    columns = [Column("Network", names), Column("Checkpoint", checkpoints), Column("Drop", tuple(map(str, numbers)))]
    table = laid_out(columns, width)
    assert max(map(len, table.splitlines())) <= width
    shown = re.sub(r"\s", "", table)
    assert all(character in shown for name in names for character in name)
    assert len(shown) == sum(map(len, names + checkpoints)) + sum(len(str(n)) for n in numbers) + len(
        "NetworkCheckpointDrop"
    ) + table.count("─")


def results(networks: int, labels: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "network": f"a-network-with-a-rather-long-name-{n}:widths=16-32-64",
                "seed": n if n % 2 else None,
                "checkpoint": f"{n}.pth",
                "perturbation": label,
                "clean_accuracy": 95.0 - n,
                "accuracy": 80.0 - 10 * place - n,
                "ci_low": 70.0 - 10 * place - n,
                "ci_high": 85.0 - 10 * place - n,
            }
            for n in range(networks)
            for place, label in enumerate(labels)
        ]
    )


@pytest.mark.parametrize(
    ("networks", "labels"),
    [
        (3, ["pgd(eps=2/255, steps=10)", "pgd(eps=8/255, steps=10, ladder)", "gaussian(delta=0.1)"]),
        (1, ["clean"]),
        (12, ["uniform(low=-0.1, high=0)", "clean"]),
    ],
)
def test_nothing_of_a_picture_is_cut_off(networks: int, labels: list[str]) -> None:
    """Its outermost pixels are white on all sides, and every network is in the legend."""
    figure = networks_compared(results(networks, labels))
    assert len(figure.legends[0].get_texts()) == networks
    image = Image.open(BytesIO(picture(figure, Path("x.png")))).convert("L")
    width, height = image.size
    edges = [(0, 0, width, 1), (0, height - 1, width, height), (0, 0, 1, height), (width - 1, 0, width, height)]
    assert all(image.crop(edge).getextrema()[0] == 255 for edge in edges)
    again = networks_compared(results(networks, labels))
    assert picture(again, Path("x.svg")) == picture(networks_compared(results(networks, labels)), Path("x.svg"))


@pytest.mark.parametrize("ending", ["png", "svg", "PDF"])
@pytest.mark.parametrize("command", ["attack --fgsm --eps 0.05,0.1", "evaluate --noise gaussian --delta 0.1,0.3"])
def test_the_ending_says_the_format(say: Say, command: str, ending: str) -> None:
    file = Path(f"picture.{ending}")
    say(*command.split(), "--examples", "20", "--plot", str(file))
    heads = {"png": b"\x89PNG", "svg": b"<?xml", "PDF": b"%PDF"}
    assert file.read_bytes().startswith(heads[ending])
    if ending == "svg":
        assert ElementTree.parse(file).getroot().tag.endswith("svg")


@pytest.mark.parametrize("command", [["evaluate"], ["attack", "--pgd"], ["curve"], ["roots", "1"]])
def test_other_endings_are_refused_before_the_work(
    working_folder: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*command, "--plot", "picture.jpg"])
    assert end.value.code == 2
    assert "PNG, SVG or PDF" in capsys.readouterr().err
