"""What mkdocs generates: commands, the Python API, the study file from its schema, notebooks."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parent.parent
API = re.compile(r"<!-- public names of: (.*?) -->")
NOTEBOOK = re.compile(r"<!-- notebook: (.*?) -->")
STUDY_FILE = "<!-- the study file -->"
COMMANDS = "<!-- the commands -->"
HELP_WIDTH = 84


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace the markers on a page by what they stand for."""
    markdown = API.sub(lambda found: _public_names(found[1].split()), markdown)
    markdown = NOTEBOOK.sub(lambda found: _notebook(ROOT / "examples" / found[1]), markdown)
    for marker, generate in ((STUDY_FILE, _study_file), (COMMANDS, _commands)):
        if marker in markdown:
            markdown = markdown.replace(marker, generate())
    return markdown


def on_pre_build(config: Any) -> None:
    """Stop the build if a public name stands on no page."""
    pages = "\n".join(path.read_text(encoding="utf-8") for path in Path(config.docs_dir, "api").glob("*.md"))
    missing = set(_homes()) - {home for found in API.findall(pages) for home in found.split()}
    if missing:
        raise ValueError(f"no page in docs/api lists the public names of {', '.join(sorted(missing))}")


def _homes() -> dict[str, tuple[str, ...]]:
    """Module → its public names, as `robustbench_zs/__init__.py` lists them; it is read, not imported."""
    tree = ast.parse((ROOT / "robustbench_zs" / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "_HOMES":
            homes: dict[str, tuple[str, ...]] = ast.literal_eval(node.value)
            return homes
    raise ValueError("robustbench_zs/__init__.py has no _HOMES")


def _public_names(homes: list[str]) -> str:
    return "\n\n".join(f"::: {_origin(f'robustbench_zs.{home}', name)}" for home in homes for name in _homes()[home])


def _origin(module: str, name: str) -> str:
    """The name where it is defined: in its package a module may have the same one, such as `check`."""
    path = ROOT / module.replace(".", "/")
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and name in [alias.name for alias in node.names]:
            return _origin(node.module, name)
    return f"{module}.{name}"


def _commands() -> str:
    """The help of every command, in the order in which `zsbench --help` lists them."""
    from robustbench_zs.cli.main import cli

    helps = [_help(cli, "zsbench"), *(_help(cli.commands[name], f"zsbench {name}") for name in sorted(cli.commands))]
    return "\n\n".join(helps)


def _help(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, terminal_width=HELP_WIDTH, help_option_names=["-h", "--help"])
    return f"## {name}\n\n```text\n{command.get_help(context)}\n```"


def _study_file() -> str:
    schema = json.loads((ROOT / "docs" / "study.schema.json").read_text(encoding="utf-8"))
    return "\n\n".join(_table(name, definition) for name, definition in schema["$defs"].items())


def _table(name: str, definition: dict[str, Any]) -> str:
    required = definition.get("required", [])
    rows = [
        f"| `{key}` | {_type(value)} | {'**required**' if key in required else _default(value)} | {value['description']} |"
        for key, value in definition["properties"].items()
    ]
    head = "| key | value | default | meaning |\n|---|---|---|---|\n"
    return f"### {name} {{ #{name} }}\n\n{definition.get('description', '')}\n\n{head}" + "\n".join(rows)


def _default(value: dict[str, Any]) -> str:
    if value.get("default") is None or isinstance(value["default"], dict):
        return "–"
    return f"`{json.dumps(value['default'], ensure_ascii=False)}`"


def _type(value: dict[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return " or ".join(f"`{json.dumps(choice)}`" for choice in value["enum"])
    if choices := value.get("anyOf") or value.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(choice) for choice in choices if choice.get("type") != "null"))
    if value.get("type") == "array":
        one = _type(value["items"])
        return f"list of {one}s" if one.endswith("number") else f"list of {one}"
    if value.get("type") == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"tables of {_type(value['additionalProperties'])}"
    words = {"integer": "whole number", "string": "text", "boolean": "`true` or `false`"}
    return words.get(value["type"], str(value["type"]))


def _notebook(path: Path) -> str:
    """The cells of a notebook and the outputs that are stored with them, without its first heading, which the page has."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n\n".join(_cell(cell) for cell in cells)
    return f"This page is the notebook `examples/{path.name}`, which the tests run.\n\n{text.partition(chr(10))[2]}"


def _cell(cell: dict[str, Any]) -> str:
    source: str = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source
    outputs: list[str] = [_output(output) for output in cell["outputs"]]
    return "\n\n".join([f"```python\n{source}\n```", *outputs])


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "image/png" in data:
        return f'<img alt="" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">'
    if "text/html" in data:  # a DataFrame; without its own styles it looks like the other tables
        rows = re.search("<thead>.*</tbody>", "".join(data["text/html"]).replace("\n", ""))
        return f"<table>{rows[0] if rows else ''}</table>"
    return f"```text\n{''.join(data['text/plain']).rstrip()}\n```"
