"""A report as one self-contained page, which asks nobody for anything."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markupsafe import Markup, escape

from robustbench_zs.reporting.tables import numeric_columns

if TYPE_CHECKING:
    from robustbench_zs.reporting.page import Page, Picture

_TYPES = {"svg": "image/svg+xml", "png": "image/png"}


def html_page(page: Page) -> str:
    """The page with its pictures inside and tables that sort."""
    templates = PackageLoader("robustbench_zs.reporting", "")
    environment = Environment(loader=templates, undefined=StrictUndefined, keep_trailing_newline=True, autoescape=True)
    environment.filters.update(prose=_prose, inline=_inline, source=_source, cells=_cells)
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


_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_MARKDOWN.add_render_rule("image", _words)
_MARKDOWN.add_render_rule("link_open", _link)


def _prose(text: str) -> Markup:
    return Markup(_MARKDOWN.render(text))


def _inline(text: str) -> Markup:
    return Markup(_MARKDOWN.renderInline(text))


def _source(picture: Picture) -> str:
    kind = _TYPES[picture.name.rpartition(".")[2]]
    return f"data:{kind};base64,{base64.b64encode(picture.content).decode()}"


def _cells(frame: pd.DataFrame) -> list[tuple[str, bool, list[Markup]]]:
    """Head, whether it is a column of numbers, and cells of every column."""
    numeric = numeric_columns(frame)
    return [
        (str(head), numeric[i], [_inline(str(cell)) for cell in frame.iloc[:, i]]) for i, head in enumerate(frame.columns)
    ]
