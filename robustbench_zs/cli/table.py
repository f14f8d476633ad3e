"""Tables for people: as wide as the screen, with nothing cut.

A table that is too wide gives up, in this order: columns with nothing in them; columns of one value, which goes above the
table; room, as cells go on in the next line; and last, columns that a sentence below the table then names.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

WIDTH = 80
"""Columns of what is no terminal, where COLUMNS does not say otherwise."""

LEFT = {"Network", "Checkpoint", "Perturbation", "Scheme", "Check", "Flag", "Finding", "Name", "What", "Step", "Recipe"}
"""Titles of columns of words; all others are aligned right."""

ABOVE = ("Dataset", "Images", "Number", "Draws", "Seed", "Perturbation")
"""Titles of columns whose only value may stand above the table instead."""

DISPENSABLE = (
    *("Moduli", "Required β", "Σα − 1", "Noise gain", "Eff. depth", "Detectable", "Only A", "Only B", "Block"),
    *("Consistent", "Sup |g|", "Relative", "Zero-stable", "Seed", "Images", "Dataset"),
)
"""Titles of columns that are left out where nothing else helps, in this order."""

MIN_NAME = 16
"""A cell of words goes on in the next line rather than being wider than this, but only where there is no room."""

NOTHING = "–"
GAP = 2
_PIECES = re.compile(r"(?:\[[^\]]*\]|[^ ])+ *")
"""Words and numbers, and intervals, which stay whole."""
_PIECES_OF_TITLES = re.compile(r"(?:\[[^\]]*\]|[^ -])+[ -]*")
_PIECES_OF_NAMES = re.compile(r"[^ ,:;/()\[\]]*[ ,:;/()\[\]]?")
_WITHIN_NAMES = "-=_."


@dataclass(frozen=True)
class Column:
    """A title and a cell for each row."""

    title: str
    cells: tuple[str, ...]

    @property
    def width(self) -> int:
        return max(map(len, (self.title, *self.cells)))

    @property
    def least(self) -> int:
        """The width below which a word or number would be torn."""
        cells = max((len(piece.rstrip()) for cell in self.cells for piece in _PIECES.findall(cell)), default=0)
        title = max((len(piece.rstrip()) for piece in _PIECES_OF_TITLES.findall(self.title)), default=0)
        return max(title, min(cells, MIN_NAME) if self.of_words else cells)

    @property
    def of_words(self) -> bool:
        return self.title in LEFT

    def folded(self, width: int) -> Column:
        pieces = _PIECES_OF_NAMES if self.of_words else _PIECES
        cells = tuple("\n".join(folded(cell, width, pieces)) for cell in self.cells)
        return Column("\n".join(folded(self.title, width, _PIECES_OF_TITLES)), cells)


def folded(text: str, width: int, pieces: re.Pattern[str] = _PIECES_OF_NAMES) -> list[str]:
    """The lines of a text, broken between pieces, and within them where they are wider than `width`.

    Examples:
        >>> folded("zerosnet20-opt:widths=4-8-16", 16)
        ['zerosnet20-opt:', 'widths=4-8-16']
    """
    lines = [""]
    for piece in pieces.findall(text):
        if len((lines[-1] + piece).rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += piece
        while len(lines[-1].rstrip()) > width:
            cut = max(lines[-1].rfind(mark, 0, width) for mark in _WITHIN_NAMES) + 1 or width
            lines[-1:] = [lines[-1][:cut], lines[-1][cut:]]
    return [line.rstrip() for line in lines]


def room() -> int:
    """Columns of the screen: COLUMNS, else those of the terminal, else `WIDTH`."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH


def laid_out(columns: Sequence[Column], width: int | None) -> str:
    """A table that is at most `width` wide, if its words and numbers let it; None leaves it as it is."""
    if width is None or _width(columns, 3) <= width:
        return _drawn(columns, 3)
    given = columns
    columns = [c for c in columns if set(c.cells) != {NOTHING}]
    above = [c for c in columns if c.title in ABOVE and len(set(c.cells)) == 1]
    columns = [c for c in columns if c not in above] or given
    left_out = []
    for title in DISPENSABLE:
        if _width([replace(c, title="", cells=("x" * c.least,)) for c in columns]) <= width:
            break
        left_out += [c.title for c in columns if c.title == title]
        columns = [c for c in columns if c.title != title]
    said = ", ".join(f"{c.title}: {c.cells[0]}" for c in above)
    lines = [f"{textwrap.fill(said, width)}\n"] if above else []
    lines.append(_drawn(_fitted(columns, width), GAP))
    if left_out:
        said = f"Left out for want of room: {', '.join(left_out)}; --format json has them."
        lines.append(f"{textwrap.fill(said, width)}\n")
    return "".join(lines)


def _width(columns: Sequence[Column], gap: int = GAP) -> int:
    return sum(c.width for c in columns) + gap * (len(columns) - 1) + 2


def _fitted(columns: Sequence[Column], width: int) -> list[Column]:
    """The columns, the widest of those that can fold narrowed until all fit."""
    widths = [c.width for c in columns]
    while sum(widths) + GAP * (len(widths) - 1) + 2 > width:
        able = [place for place, c in enumerate(columns) if widths[place] > c.least]
        if not able:
            break
        widths[max(able, key=lambda place: widths[place])] -= 1
    return [c.folded(w) for c, w in zip(columns, widths, strict=True)]


def _drawn(columns: Sequence[Column], gap: int) -> str:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap - 2, 0, 1))
    for column in columns:
        title = column.title.replace("\n", " ")
        left = column.title in LEFT or title in LEFT
        table.add_column(column.title, justify="left" if left else "right", no_wrap=True)
    for cells in zip(*(c.cells for c in columns), strict=True):
        table.add_row(*map(escape, cells))
    console = Console(width=100_000, emoji=False, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"
