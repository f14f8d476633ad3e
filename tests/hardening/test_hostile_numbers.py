"""NaN, infinity and numbers out of all range, in every place where a file holds a number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fuzz_targets import FULL_STUDY, MEASUREMENT
from hostile_values import DIGITS, Raw, places, to_json, toml_file
from tiny_files import DIGEST, baseline, header, safetensors_with, state_header

from robustbench_zs.cli.main import main
from robustbench_zs.errors import RequestError
from robustbench_zs.gate import read_baseline
from robustbench_zs.studies.load import load_study
from robustbench_zs.training import read_checkpoint
from robustbench_zs.training.state import StateFile
from robustbench_zs.training.trial import _known

JSON_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e400", DIGITS)
TOML_NUMBERS = ("nan", "inf", "-inf", "1e400", DIGITS, "0x" + "f" * 5000, "-" + "9" * 30)

SMALL_HEADER = header() | {"recipe": {"epochs": 1, "learning_rate": 0.1}, "diverged_at": 1, "environment": {"cuda": 12}}
SMALL_HEADER["history"][0] |= {"test_accuracy": 1.0, "block_parameters": [0.5]}
STATE = state_header()
BASELINE = {k: v for k, v in baseline().items() if k != "settings"} | {"settings": {}}


def numbers_in(value: Any) -> list[tuple[Any, ...]]:
    """The ways to all numbers within a value."""
    found = []
    for way in places(value):
        inner = value
        for key in way:
            inner = inner[key]
        if isinstance(inner, (int, float)) and not isinstance(inner, bool):
            found.append(way)
    return found


def with_number(value: Any, way: tuple[Any, ...], text: str) -> Any:
    """A copy of the value with raw text for a number."""
    changed = json.loads(json.dumps(value))
    inner = changed
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = Raw(text)
    return changed


def named(way: tuple[Any, ...]) -> str:
    return ".".join(map(str, way))


@pytest.mark.parametrize("way", numbers_in(SMALL_HEADER), ids=named)
def test_in_the_header_of_a_checkpoint(tmp_path: Path, way: tuple[Any, ...]) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_with(to_json(SMALL_HEADER)))
    read_checkpoint(path)
    for number in JSON_NUMBERS:
        path.write_bytes(safetensors_with(to_json(with_number(SMALL_HEADER, way, number))))
        with pytest.raises(RequestError, match="header"):
            read_checkpoint(path)


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("seed",), -1),
        (("seed",), 2**63),
        (("diverged_at",), 0),
        (("dataset", "train_examples"), 2**63),
        (("dataset", "image_size", 0), -8),
        (("history", 0, "epoch"), 10**30),
        (("history", 0, "seconds"), 1e308),
        (("execution", "threads"), 0),
        (("execution", "threads"), 10**6),
        (("execution", "places"), 10**6),
        (("execution", "layout"), "load"),
    ],
    ids=str,
)
def test_out_of_range_in_a_header(tmp_path: Path, way: tuple[Any, ...], value: object) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_with(to_json(with_number(SMALL_HEADER, way, json.dumps(value)))))
    with pytest.raises(RequestError, match=str(way[0])):
        read_checkpoint(path)


@pytest.mark.parametrize("way", numbers_in(STATE), ids=named)
def test_in_the_state_of_a_training(tmp_path: Path, way: tuple[Any, ...]) -> None:
    path = tmp_path / "x.state.safetensors"
    for number in JSON_NUMBERS:
        path.write_bytes(safetensors_with(to_json(with_number(STATE, way, number))))
        with pytest.raises(RequestError, match="damaged"):
            StateFile(path, DIGEST, {}).read()


@pytest.mark.parametrize("way", numbers_in(BASELINE), ids=named)
def test_in_a_baseline(tmp_path: Path, way: tuple[Any, ...]) -> None:
    path = tmp_path / "x.json"
    path.write_text(to_json(BASELINE))
    read_baseline(path)
    for number in JSON_NUMBERS:
        path.write_text(to_json(with_number(BASELINE, way, number)))
        with pytest.raises(RequestError, match="not a baseline"):
            read_baseline(path)


def test_in_an_execution_choice(tmp_path: Path) -> None:
    for number in (*JSON_NUMBERS, "0", "-1", "1001", "1.5"):
        (tmp_path / "execution.json").write_text(f'{{"[]": {{"places": {number}}}}}')
        with pytest.raises(RequestError, match="damaged"):
            _known(tmp_path / "execution.json")


@pytest.mark.parametrize("study", [FULL_STUDY, MEASUREMENT], ids=["study", "measurement"])
def test_in_a_study_file(tmp_path: Path, study: dict[str, Any]) -> None:
    path = tmp_path / "a.toml"
    path.write_text(toml_file(study))
    load_study(path)
    for way in numbers_in(study):
        for number in TOML_NUMBERS:
            path.write_text(toml_file(with_number(study, way, number)))
            with pytest.raises(RequestError, match=r"a\.toml") as refused:
                load_study(path)
            assert len(str(refused.value)) < 1000, way


def test_in_the_coefficients_of_a_study(tmp_path: Path) -> None:
    for number in ("nan", "inf", "1e400", "1e13", "[1]", "true", "1979-05-27", '"1/0"', '"0x1p9999"'):
        text = f'name = "a"\nschemes = [{{ alphas = [{number}], beta = 1 }}]\n[dataset]\nname = "digits"\n'
        (tmp_path / "a.toml").write_text(text)
        with pytest.raises(RequestError, match=r"a\.toml"):
            load_study(tmp_path / "a.toml")


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--epochs"],
        ["train", "--seed"],
        ["train", "--seeds"],
        ["train", "--scheme", "euler", "--depth"],
        ["train", "--train-examples"],
        ["train", "--replicas"],
        ["train", "--threads"],
        ["train", "--image-size"],
        ["roots", "--lambda"],
        ["roots", "--k"],
        ["roots", "--alpha"],
        ["roots", "1", "--beta"],
        ["roots", "1", "--depth"],
        ["check", "tiny", "--baseline", "x", "--alpha"],
        ["check", "tiny", "--baseline", "x", "--min-drop"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e400", "9" * 400, "-" + "9" * 400, DIGITS])
def test_on_the_command_line(
    working_folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], number: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*arguments, number])
    assert end.value.code == 2
    assert "Error: " in capsys.readouterr().err
    assert not any(working_folder.iterdir())
