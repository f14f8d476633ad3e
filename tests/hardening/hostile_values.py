"""Strategies for values that no honest file holds, and for files that are damaged here and there."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

DIGITS = "1" + "0" * 5000
"""More than Python reads or prints as an integer."""


@dataclass(frozen=True)
class Raw:
    """Text that goes into a file as it is, where a value belongs."""

    text: str


RAW_JSON = [Raw(t) for t in ("NaN", "Infinity", "-Infinity", "1e400", "-0.0", DIGITS, "9" * 400, "", '"\\ud800"', "[" * 500)]
RAW_TOML = [
    Raw(t)
    for t in (
        "nan",
        "-inf",
        "1e400",
        "-0.0",
        DIGITS,
        "9" * 400,
        "0x" + "f" * 5000,
        "1979-05-27T07:32:00Z",
        "'''",
        "[" * 2000,
    )
]
TEXTS = (
    "",
    "../../x",
    "/etc/passwd",
    "a" * 10_000,
    "nul\0byte",
    "line\nbreak",
    "\x1b[2J",
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}",
    r"$\bad{$",
    "=1+1",
    "﷽",
    "1/0",
    "nan",
    "1e999999999",
    "0x1p-1074",
    "euler",
    "digits",
)


def nested(depth: int, table: bool) -> Any:
    """Lists, or tables, in one another."""
    value: Any = 1
    for _ in range(depth):
        value = {"a": value} if table else [value]
    return value


numbers = st.one_of(
    st.sampled_from((0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**30, 10**400)),
    st.integers(),
    st.floats(),
    st.booleans(),
)
texts = st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
scalars = numbers | texts
plain_values = st.one_of(
    scalars,
    st.lists(scalars, max_size=4),
    st.dictionaries(texts, scalars, max_size=3),
    st.builds(nested, st.sampled_from((5, 40, 150)), st.booleans()),
)
json_values = st.one_of(st.none(), plain_values, st.sampled_from(RAW_JSON))
toml_values = st.one_of(plain_values, st.sampled_from(RAW_TOML))


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything within lists and tables."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*above, key)
        yield from places(inner, (*above, key))


@st.composite
def damaged(draw: st.DrawFn, value: Any, replacements: st.SearchStrategy[Any]) -> Any:
    """The value with one to three of its parts replaced, removed or added."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        ways = list(places(value))
        if not ways:
            break
        *above, last = draw(st.sampled_from(ways))
        owner = value
        for key in above:
            owner = owner[key]
        what = draw(st.sampled_from(("replace", "replace", "replace", "remove", "add")))
        if what == "replace":
            owner[last] = draw(replacements)
        elif what == "remove":
            del owner[last]
        elif isinstance(owner, dict):
            owner[draw(texts)] = draw(replacements)
        else:
            owner.append(draw(replacements))
    return value


def to_json(value: Any) -> str:
    """JSON with raw parts; NaN and infinity as Python writes them."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {to_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_json, value)) + "]"
    return json.dumps(value)


def to_toml(value: Any) -> str:
    """A value in TOML, tables in braces."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {to_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_file(table: dict[str, Any]) -> str:
    """A TOML file, a line a key."""
    return "".join(f"{json.dumps(key)} = {to_toml(value)}\n" for key, value in table.items())


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with one to four places overwritten, cut, doubled or filled."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(1, 16))
        new = draw(st.binary(min_size=1, max_size=16) | st.sampled_from((b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7)))
        what = draw(st.sampled_from(("overwrite", "overwrite", "insert", "cut", "double", "end")))
        if what == "overwrite":
            data[start : start + len(new)] = new
        elif what == "insert":
            data[start:start] = new
        elif what == "cut":
            del data[start : start + length]
        elif what == "double":
            data[start:start] = data[start : start + length]
        else:
            del data[start:]
    return bytes(data)
