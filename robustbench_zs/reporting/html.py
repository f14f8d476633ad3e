"""A report as one self-contained HTML page, which makes no request to anywhere."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markupsafe import Markup, escape

from robustbench_zs.reporting.cells import numeric_columns
from robustbench_zs.reporting.latex import latex_table
from robustbench_zs.reporting.page import Page, Picture, Table, markdown_page
from robustbench_zs.system.files import write_atomically

LONG = 30
"""Characters from which a cell is a sentence."""

BROAD = 9
"""Columns of numbers with intervals above which a table is broad."""

_TYPES = {"svg": "image/svg+xml", "png": "image/png"}


def write_page(folder: Path, page: Page, csv: Mapping[str, pd.DataFrame]) -> None:
    """Write `report.md`, `index.html`, the pictures, LaTeX of the tables, and `csv` (one file per table) into `folder`.

    Raises:
        UnfinishedError: the folder cannot be written.
    """
    blocks = [page.picture, *(block for section in page.sections for block in section.blocks)]
    for name, frame in csv.items():
        if len(frame.columns):
            write_atomically(folder / f"{name}.csv", frame.to_csv(index=False))
    for block in blocks:
        if isinstance(block, Picture):
            write_atomically(folder / block.name, block.content)
        elif isinstance(block, Table):
            write_atomically(folder / f"{block.name}.tex", latex_table(block.frame))
    write_atomically(folder / "index.html", html_page(page))
    write_atomically(folder / "report.md", markdown_page(page))


def html_page(page: Page) -> str:
    """The page with its pictures inside and tables that sort."""
    templates = PackageLoader("robustbench_zs.reporting", "")
    environment = Environment(loader=templates, undefined=StrictUndefined, keep_trailing_newline=True, autoescape=True)
    environment.filters.update(
        prose=_prose, inline=_inline, source=_source, least_width=_least_width, cells=_cells, crowding=_crowding
    )
    return environment.get_template("page.html.j2").render(page=page)


def _words(self: RendererHTML, tokens: Any, index: int, options: Any, env: Any) -> str:
    """A picture in a text is its words: pictures of a report are blocks of their own."""
    return str(escape(self.renderInlineAsText(tokens[index].children or [], options, env)))


def _link(self: RendererHTML, tokens: Any, index: int, options: Any, env: Any) -> str:
    """A link to another report leads to its page."""
    target = str(tokens[index].attrGet("href"))
    if target.endswith("/report.md"):
        tokens[index].attrSet("href", target.removesuffix("report.md") + "index.html")
    return self.renderToken(tokens, index, options, env)


def _code(self: RendererHTML, tokens: Any, index: int, options: Any, env: Any) -> str:
    """An option such as `--steps` stays on one line."""
    text = re.sub(r"(?<!\S)--?[\w-]+", r"<span>\g<0></span>", str(escape(tokens[index].content)))
    return f"<code>{text}</code>"


_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_MARKDOWN.add_render_rule("image", _words)
_MARKDOWN.add_render_rule("link_open", _link)
_MARKDOWN.add_render_rule("code_inline", _code)


def _prose(text: str) -> Markup:
    return Markup(_MARKDOWN.render(_together(text)))


def _inline(text: str) -> Markup:
    return Markup(_MARKDOWN.renderInline(_together(text)))


def _together(text: str) -> str:
    """`|ρ|` and `ρ = .5` are not broken at the end of a line."""
    return text.replace("|ρ|", "|\u2060ρ\u2060|").replace("ρ = ", "ρ\u00a0=\u00a0")


def _source(picture: Picture) -> str:
    kind = _TYPES[picture.name.rpartition(".")[2]]
    return f"data:{kind};base64,{base64.b64encode(picture.content).decode()}"


def _least_width(picture: Picture) -> str:
    """The width in CSS below which a picture scrolls instead of shrinking further: half of its own, where that is known."""
    width = re.search(rb'<svg[^>]* width="([\d.]+)pt"', picture.content[:2000])
    return f"{float(width[1]) / 2:.0f}pt" if width else "100%"


def _cells(frame: pd.DataFrame) -> list[tuple[str, str, list[Markup]]]:
    """Head, class and cells of every column: numbers are aligned right, sentences get room."""
    columns = []
    for i, (head, numeric) in enumerate(zip(frame.columns, numeric_columns(frame), strict=True)):
        texts = [str(cell) for cell in frame.iloc[:, i]]
        kind = "number" if numeric else "sentence" if max(map(len, texts), default=0) > LONG else "word"
        columns.append((str(head), kind, [_number(text) if numeric else _inline(text) for text in texts]))
    return columns


def _number(text: str) -> Markup:
    """An interval after its number stands below it where a table is crowded."""
    return Markup(re.sub(r"^(\S+) (\[[^\[\]]+\])$", r'\1 <span class="range">\2</span>', str(_inline(text))))


def _crowding(columns: list[tuple[str, str, list[Markup]]]) -> str:
    """How crowded a table is: `broad` is laid on its side in print, since numbers would break."""
    ranges = sum('class="range"' in "".join(cells) for _, _, cells in columns)
    names = {"many": len(columns) > 9, "crowded": len(columns) > 20, "broad": ranges > BROAD}
    return " ".join(name for name, applies in names.items() if applies)
