"""A study file as plain values, with limits: it may come from a stranger."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from robustbench_zs.errors import RequestError

MAX_FILE_BYTES = 2**20
MAX_INTEGER = 2**63
"""TOML promises 64 bits; Python would read any number of digits, and then fail to print it."""

DEEPEST = 32
_LONG_KEY = re.compile(r"""(?:(?:(?<![\w-])[\w-]++|(?<!\\)"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")
"""A key `a.b.c…` of too many parts: the parser takes their square in time, up to hours within the largest file."""


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a file; decimals stay text, so that coefficients are exact.

    Raises:
        RequestError: not a TOML file, or one beyond the limits.
    """
    try:
        if os.path.getsize(path) > MAX_FILE_BYTES:
            raise RequestError(f"{path} is larger than a study file can be (1 MiB)")
        text = path.read_text(encoding="utf-8-sig")  # editors of Windows put a mark in front
        if _LONG_KEY.search(text):
            raise RequestError(f"{path} has a key of more than {DEEPEST} parts: shorten it")
        data = tomllib.loads(text, parse_float=str)
    except RequestError:
        raise
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, RecursionError) as error:
        raise RequestError(f"{path} cannot be read as TOML: {str(error)[:200]}") from error
    except ValueError as error:  # Python reads no integer of thousands of digits
        raise RequestError(f"{path} has an integer beyond 64 bits") from error
    _check_limits(data, path)
    return data


def _check_limits(data: dict[str, Any], path: Path) -> None:
    waiting: list[tuple[Any, int]] = [(data, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise RequestError(f"{path} is nested more than {DEEPEST} levels deep")
        if isinstance(value, (dict, list)):
            inner = value.values() if isinstance(value, dict) else value
            waiting += [(v, depth + 1) for v in inner]
        elif isinstance(value, int) and not -MAX_INTEGER <= value < MAX_INTEGER:
            raise RequestError(f"{path} has an integer beyond 64 bits")
