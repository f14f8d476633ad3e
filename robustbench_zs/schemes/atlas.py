"""The atlas: hundreds of schemes by design, `atlas-001` and on, designed so that candidate predictors can be told apart.

`atlas.json` holds them; `benchmarks/atlas/choose_schemes.py` made it from `design` and `exchange`. The first half of the
numbers is for discovery, the second for confirmation. In each half the first 12, 24, 50, 100 and 200 are chosen so as well.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib import resources
from typing import Any, Literal

from robustbench_zs.errors import RequestError
from robustbench_zs.schemes.scheme import MultistepScheme
from robustbench_zs.system.files import canonical_json

Half = Literal["discovery", "confirmation"]
HALVES: tuple[Half, ...] = ("discovery", "confirmation")

_NAME = re.compile(r"atlas-(\d{3})")


def atlas_scheme(name: str) -> MultistepScheme:
    """The scheme of a name such as `atlas-017`.

    Raises:
        RequestError: there is none by that name.
    """
    first, second = (atlas_file()[half] for half in HALVES)
    number, whole = _NAME.fullmatch(name), len(first) + len(second)
    if not number or not 1 <= int(number[1]) <= whole:
        raise RequestError(f"there is no scheme {name[:80]!r}: the atlas has atlas-001 to {_name(whole)}")
    place = int(number[1]) - 1
    alphas, beta = first[place] if place < len(first) else second[place - len(first)]
    return MultistepScheme(alphas.split(), beta, name)


def atlas_names(half: Half, schemes: int | None = None) -> list[str]:
    """The names of the schemes of a half, or of the first ones only.

    Raises:
        RequestError: the half does not have so many.
    """
    sizes = [len(atlas_file()[h]) for h in HALVES]
    size = sizes[HALVES.index(half)]
    if schemes is not None and not 1 <= schemes <= size:
        raise RequestError(f"a half of the atlas must have 1 to {size} schemes, not {schemes}")
    first = 1 + (sizes[0] if half == "confirmation" else 0)
    return [_name(first + i) for i in range(size if schemes is None else schemes)]


def quarter_of(names: list[str]) -> list[str]:
    """A random quarter of the names, in their order: always the same, and independent of what the schemes are like."""
    by_chance = sorted(names, key=lambda name: hashlib.sha256(f"a second seed for {name}".encode()).hexdigest())
    drawn = set(by_chance[: len(names) // 4])
    return [name for name in names if name in drawn]


@cache
def atlas_file() -> dict[str, Any]:
    """What `atlas.json` says: `version`, `seed`, `pool`, `digest`, and for each half pairs of alphas and β, as text."""
    found: dict[str, Any] = json.loads(resources.files("robustbench_zs.schemes").joinpath("atlas.json").read_text("utf-8"))
    return found


def digest_of(halves: dict[str, list[tuple[str, str]]]) -> str:
    """SHA-256 of the chosen schemes in their order."""
    return hashlib.sha256(canonical_json({half: halves[half] for half in HALVES}).encode()).hexdigest()


def _name(number: int) -> str:
    return f"atlas-{number:03d}"
