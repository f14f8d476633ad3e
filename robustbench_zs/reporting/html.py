"""A report as one self-contained page: `index.html` from `report.md` and the pictures beside it."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from robustbench_zs.system.files import write_atomically


def write_html(folder: Path) -> None:
    """Write `index.html`: the report of the folder with its pictures inside, tables that sort, and no request to anywhere.

    Raises:
        UnfinishedError: the folder cannot be written.
    """
    template = resources.files("robustbench_zs.reporting").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=True)
    text = (folder / "report.md").read_text(encoding="utf-8")
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")
    parser.options["folder"] = folder
    tokens = parser.parse(text)
    headings = [
        (token.tag, _slug(inline.content), inline.content)
        for token, inline in pairwise(tokens)
        if token.type == "heading_open"
    ]
    titles = [words for tag, _, words in headings if tag == "h1"]
    page = environment.from_string(template).render(
        title=titles[0] if titles else folder.name,
        sections=[(slug, words) for tag, slug, words in headings if tag == "h2"],
        content=parser.renderer.render(tokens, parser.options, {}),
    )
    write_atomically(folder / "index.html", page)


def _slug(heading: str) -> str:
    return re.sub(r"\W+", "-", heading.lower()).strip("-")


class _Renderer(RendererHTML):
    """Raw HTML in the text stays text; pictures go into the page, and tables into regions that scroll."""

    def heading_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return f'<{tokens[index].tag} id="{html.escape(_slug(tokens[index + 1].content))}">'

    def table_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        heading = next((tokens[i + 1].content for i in range(index, -1, -1) if tokens[i].type == "heading_open"), "Table")
        return f'<div class="table" role="region" tabindex="0" aria-label="{html.escape(heading)}">\n<table>\n'

    def table_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return "</table>\n</div>\n"

    def th_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return f'<th scope="col"{_alignment(tokens[index])}>'

    def td_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return f"<td{_alignment(tokens[index])}>"

    def link_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        target = re.sub(r"(?<=/)report\.md$", "index.html", str(tokens[index].attrs.get("href", "")))
        return f'<a href="{html.escape(target)}">'

    def image(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A picture of the folder; the words of any other, since the page asks nobody for anything."""
        token = tokens[index]
        words = html.escape(self.renderInlineAsText(token.children or [], options, env))
        source = str(token.attrs.get("src", ""))
        path = options["folder"] / source
        if not (re.fullmatch(r"\w+\.png", source) and path.is_file()):
            return words
        data = base64.b64encode(path.read_bytes()).decode()
        return f'<img src="data:image/png;base64,{data}" alt="{words}">'


def _alignment(token: Token) -> str:
    return ' class="number"' if "right" in str(token.attrs.get("style", "")) else ""
