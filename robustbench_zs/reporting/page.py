"""What a report is: an answer for its first screen, then sections; written once as HTML, Markdown and LaTeX.

All texts are Markdown. Raw HTML and pictures in them stay text, since names in them come from files of others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from robustbench_zs.reporting import cells


@dataclass(frozen=True)
class Picture:
    """A picture beside the report.

    Args:
        name: of its file, such as `roots.svg`; `.svg` or `.png`.
        content: the file.
        caption: what to see in it.
        alternative: what it shows, in words and numbers, for those who cannot see it.
    """

    name: str
    content: bytes
    caption: str
    alternative: str


@dataclass(frozen=True)
class Table:
    """A table as people read it; `name` is that of its LaTeX file, `NAME.tex`.

    Args:
        heads: short column head → what it stands for, where that needs to be said.
    """

    name: str
    frame: pd.DataFrame
    caption: str = ""
    heads: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Section:
    """A part of a report: a title, one sentence that says what it shows, then prose, pictures and tables in their order."""

    title: str
    lead: str
    blocks: Sequence[str | Picture | Table] = ()

    @property
    def slug(self) -> str:
        """What a link to it ends with."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Number:
    """A number of the first screen with its interval and what it measures."""

    value: str
    interval: str
    meaning: str


@dataclass(frozen=True)
class Page:
    """A report: what was found and how sure it is, the one picture that carries it, at most three numbers; then sections."""

    name: str
    title: str
    verdict: str
    sections: Sequence[Section]
    picture: Picture | None = None
    numbers: Sequence[Number] = ()


def markdown_page(page: Page) -> str:
    """The report as Markdown, with links to its pictures."""
    numbers = "\n".join(f"- {' '.join(filter(None, [n.value, n.interval]))}: {n.meaning}" for n in page.numbers)
    parts = [f"# {page.title}", page.verdict, numbers]
    if page.picture:
        parts += _markdown_block(page.picture)
    for section in page.sections:
        parts += [f"## {section.title}", section.lead]
        for block in section.blocks:
            parts += _markdown_block(block)
    return "\n\n".join(filter(None, parts)) + "\n"


def _markdown_block(block: str | Picture | Table) -> list[str]:
    if isinstance(block, str):
        return [block]
    if isinstance(block, Table):
        return [block.caption, cells.markdown(block.frame)]
    alternative = re.sub(r"[\\\n]", " ", block.alternative.translate(str.maketrans("[]", "()")))
    return [f"![{alternative}]({block.name})", block.caption]
