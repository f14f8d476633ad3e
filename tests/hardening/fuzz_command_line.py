"""Command lines from the real commands and options, with values that are good, bad or hostile, and what each may do.

Values are either refused or small, so that no case trains or attacks for long, and none downloads a dataset.
"""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
from hostile_values import TEXTS
from hypothesis import strategies as st
from tiny_files import NETWORK, STUDY, baseline, header, safetensors_with

from robustbench_zs.cli.main import _run, cli

HOSTILE = (
    *(t for t in TEXTS if "\0" not in t and t not in ("digits", "euler")),
    *("-1", "0", "-" + "9" * 400, "1" + "0" * 5000, "nan", "inf", "-inf", "1e400", "1e5", "½", "0x10", "--", "-", "\udcff"),
)
"""No zero bytes, which no command line holds; `\\udcff` is how Python hands over a byte that is not UTF-8."""

words = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_categories=("Cs", "Nd"), exclude_characters="\0"), max_size=12
)

GOOD: dict[str, tuple[str, ...]] = {
    "alphas": ("1", "2", "-1", "1/3", "0.5"),
    "names": (NETWORK, "resnet8:widths=2-2-2"),
    "schemes": ("euler", "table10-1"),
    "name": ("euler", "lm:k=0.5", "fgsm", "pgd", "apgd", "square"),
    "study": ("a.toml", "tiny", "digits", "table1", "table3", "broken.toml"),
    "checkpoints": ("x.safetensors", "./x.safetensors", "broken.safetensors"),
    "from_": ("x.safetensors",),
    "baseline_file": ("b.json", "x.safetensors"),
    "depth": ("8", "14", "20", "21"),
    "dataset": ("digits", "own", "imagenet"),
    "data_dir": (".", "data", "x.safetensors"),
    "model": ("torch.nn:Identity", "no.such:model", "torch.nn:Linear", "os:getcwd"),
    "weights": ("x.safetensors",),
    "device": ("cpu", "meta", "cuda", "cuda:99", "mps", "cpu:-1"),
    "output": ("out.json", "out.csv", "out.txt", "no/such/out.json", "x.safetensors/out.json"),
    "plot": ("out.png", "out.pdf"),
    "junit": ("out.xml",),
    "out": ("out.json", "a.toml/out.json"),
    "recipe": ("digits", "mnist", "cifar10-code"),
    "types": ("fog", "fog,snow", "fog,fog"),
    "severities": ("1", "1,2", "6"),
    "seeds": ("0", "0,1", "1,1"),
    "eps": ("0.1", "8/255", "0.1,0.2", "2"),
    "delta": ("0.1", "0.1,0.2"),
    "mu": ("0.1",),
    "low": ("-0.1",),
    "high": ("0.1",),
    "threads": ("1",),
    "batch_size": ("1", "256"),
    "image_size": ("8", "7"),
}
TRAINED = ("a.toml", "tiny", "broken.toml", "nosuch", "../a.toml")
"""Studies for the commands that train them; those that are shipped would take minutes."""

SMALL = ("1", "2")
"""Good for every other number."""

WRITES = {"train": ("checkpoints/",), "check": ("checkpoints/",), "baseline": ("checkpoints/",)}
"""What a command may write besides the store and the files that it is told to; the gate compares when all is done."""


@st.composite
def _option(draw: st.DrawFn, param: click.Parameter) -> list[str]:
    if isinstance(param, click.Option) and param.is_flag:
        return [draw(st.sampled_from([*param.opts, *param.secondary_opts]))]
    good: tuple[str, ...] = GOOD.get(str(param.name), SMALL)
    if isinstance(param.type, click.Choice):
        good = tuple(map(str, param.type.choices))
    value = draw(words if draw(st.integers(0, 3)) == 0 else st.sampled_from(good))
    if isinstance(param, click.Argument):
        return [value]
    return [f"{param.opts[0]}={value}"] if draw(st.booleans()) else [param.opts[0], value]


def _params(name: str) -> list[click.Parameter]:
    return cli.commands[name].get_params(click.Context(cli.commands[name]))


@st.composite
def _command_line(draw: st.DrawFn) -> list[str]:
    name = draw(st.sampled_from(sorted(cli.commands)))
    arguments = [name]
    params = [p for p in _params(name) if p.name not in ("debug", "help")]
    for param in params:
        if isinstance(param, click.Argument) and draw(st.integers(0, 4)):
            trains = name in ("check", "baseline")
            arguments += [draw(st.sampled_from(TRAINED))] if trains else draw(_option(param))
        if isinstance(param, click.Option) and param.required and draw(st.integers(0, 9)):
            arguments += draw(_option(param))
    options = [p for p in params if isinstance(p, click.Option)]
    for param in draw(st.lists(st.sampled_from(options), max_size=5)) if options else ():
        arguments += draw(_option(param))
    if not draw(st.integers(0, 9)):
        arguments.insert(draw(st.integers(0, len(arguments))), draw(words))
    return bounded(arguments)


def bounded(arguments: list[str]) -> list[str]:
    """The command line with what keeps it small, where it would train, attack or evaluate; what is said later counts."""
    limits: dict[str, list[str]] = {
        "train": ["--network", NETWORK, "--train-examples", "8", "--test-examples", "4", "--epochs", "1"],
        "evaluate": ["--examples", "3"],
        "gap": ["--examples", "3"],
        "corruptions": ["--examples", "3"],
        "attack": ["--examples", "3", "--queries", "2", "--steps", "2"],
        "curve": ["--examples", "3", "--steps", "1"],
        "masking": ["--examples", "3", "--queries", "2", "--steps", "1", "--images", "2"],
    }
    given = {a.partition("=")[0] for a in arguments}
    small = limits.get(arguments[0] if arguments else "", [])
    extra = [
        part
        for option, value in zip(small[::2], small[1::2], strict=True)
        if option not in given and not (option == "--network" and "--scheme" in given)
        for part in (option, value)
    ]
    if arguments[:1] == ["run"]:
        extra = ["--plan"]
    if arguments[:1] == ["networks"]:
        extra = [NETWORK]  # without a name it builds all fifty
    return arguments + extra


commands = _command_line()


@cache
def _files() -> dict[str, bytes]:
    import json

    weights = safetensors_with(json.dumps(header()))
    return {
        "a.toml": STUDY.encode(),
        "benchmarks/tiny.toml": STUDY.encode(),
        "broken.toml": b"name = [",
        "x.safetensors": weights,
        "broken.safetensors": weights[:1000],
        "b.json": json.dumps(baseline()).encode(),
    }


def run_command(folder: Path, arguments: list[str]) -> None:
    """Raises: AssertionError: another exit code, a traceback, an internal error, or files that were not asked for."""
    for name, content in _files().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    code, printed, said = run_in(folder, arguments)
    assert code in (0, 2, 3), f"exit code {code}: {said[-500:]}"
    assert "Traceback" not in said + printed
    assert "internal error" not in said, said[-500:]
    if code:
        assert "Error: " in said, said[-500:]
        assert not printed, printed[-500:]
    new = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p not in before]
    assert not [n for n in new if n.endswith(".part")], new
    allowed = ("reports/results.sqlite", *(WRITES.get(arguments[0], ()) if arguments else ()))
    if code != 2 or arguments[:1] == ["check"]:
        told = [os.path.normpath(part) for argument in arguments for part in (argument, argument.partition("=")[2]) if part]
        new = [n for n in new if n not in told]
    elif arguments[:1] != ["baseline"]:
        allowed = allowed[:1]
    assert all(n.startswith(allowed) for n in new), f"{new} were left behind: {said[-500:]}"
    changed = [str(p.relative_to(folder)) for p, content in before.items() if not p.is_file() or p.read_bytes() != content]
    assert not changed, changed


def run_in(folder: Path, arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command line in this process, with one worker."""
    out, err, here = io.StringIO(), io.StringIO(), os.getcwd()
    os.chdir(folder)
    try:
        with redirect_stdout(out), redirect_stderr(err), patch("robustbench_zs.system.workers.available_cores", lambda: 1):
            code: Any = _run(arguments)
    finally:
        os.chdir(here)
    return code, out.getvalue(), err.getvalue()
