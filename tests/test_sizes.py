"""Functions take few parameters and files are short; what may have more is listed here, and why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import robustbench_zs

PACKAGE = Path(robustbench_zs.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

MAX_LINES = 300
MAX_PARAMETERS = 7
MAX_POSITIONAL = 3
"""Of public functions, whose other parameters are options by name."""


def wide_functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every function with more parameters than others may have, and the module that it stands in."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and len(parameters(node)) > MAX_PARAMETERS:
                yield path.relative_to(PACKAGE).as_posix(), node


def positional(function: ast.FunctionDef) -> list[str]:
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def parameters(function: ast.FunctionDef) -> list[str]:
    given = (function.args.vararg, *function.args.kwonlyargs, function.args.kwarg)
    return [*positional(function), *(argument.arg for argument in given if argument)]


def test_no_function_has_many_parameters_but_commands_and_public_ones_with_named_options() -> None:
    wide = [
        f"{module}: {function.name}"
        for module, function in wide_functions()
        if not (module.startswith("cli/") and function.decorator_list)
        and not (function.name in robustbench_zs.__all__ and len(positional(function)) <= MAX_POSITIONAL)
    ]
    assert not wide


def test_no_file_is_long() -> None:
    lines = {path.relative_to(PACKAGE).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {name: count for name, count in lines.items() if count > MAX_LINES}
