"""Imports run one way: no room imports one that stands after it, and no modules import each other in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "robustbench_zs"

ROOMS = (
    ("errors", "paper", "system"),
    ("schemes",),
    ("networks", "datasets"),
    ("training", "perturbations"),
    ("evaluation",),
    ("analysis",),
    ("reporting", "gate"),
    ("studies",),
    ("cli",),
)
"""As in docs/design.md; rooms that stand together do not import each other's later ones, but may be siblings."""

HEIGHT = {room: height for height, rooms in enumerate(ROOMS) for room in rooms}


def imports() -> dict[str, set[str]]:
    """Module → modules of the package that it imports at its top, also those for type checkers alone."""
    modules = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    found: dict[str, set[str]] = {}
    for module in modules:
        path = (PACKAGE.parent / Path(*module.split("."))).with_suffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {id(node) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for node in ast.walk(f)}
        named = {
            name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module and id(node) not in inside
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        }
        found[module] = {name for name in named if name in modules and name != module}
    return found


def room(module: str) -> str:
    return module.split(".")[1]


def test_no_room_imports_one_that_stands_after_it() -> None:
    upwards = [
        f"{module} imports {other}"
        for module, others in imports().items()
        for other in others
        if room(module) in HEIGHT and HEIGHT[room(other)] > HEIGHT[room(module)]
    ]
    assert not upwards


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    TopologicalSorter(imports()).prepare()


@pytest.mark.parametrize("worker", ["studies.engines.work", "training.train", "evaluation.evaluator"])
def test_a_worker_process_imports_neither_reports_nor_statistics(worker: str) -> None:
    code = f"import robustbench_zs.{worker}, sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pandas", "scipy", "matplotlib", "seaborn", "sklearn", "jinja2"} & set(done.stdout.split())
