"""The page of a report: what stands in it, and how it behaves in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from browsers import chromium, opened
from synthetic_studies import custom, findings

from robustbench_zs.reporting import page as pages
from robustbench_zs.reporting.html import write_page
from robustbench_zs.reporting.page import Number, Picture, Section, Table
from robustbench_zs.reporting.report import write_report

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)
NUMBERS = pd.DataFrame(
    {"Network": ["b", "a <img src=x onerror=alert(1)>", "c", "d"], "σ 0.1": ["9.5 ± 0.1", "–", "78.29 ± 0.09", "-3.0"]}
)
PAGE = pages.Page(
    name="study",
    title='<script>alert(1)</script> & "co"',
    verdict="One [link](../part/report.md), one ![far](http://example.org/x.png), <b>raw</b>.",
    sections=[
        Section("Numbers", "A table.", [Table("numbers", NUMBERS, "Accuracy.", {"σ 0.1": "gaussian(delta=0.1)"})]),
        Section("A [link](javascript:alert(1))", "Prose.", ["- one\n- two", "![up](../secret.png)"]),
    ],
    picture=Picture("accuracy.png", PIXEL, "What to see.", "Accuracy ] from 1 to 2%"),
    numbers=[Number("ρ = .33", "[.1, .5]", "A relation")],
)


class Elements(HTMLParser):
    """All elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


class Nesting(HTMLParser):
    """Elements that are not closed, or closed without being open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_page(tmp_path, PAGE, {"numbers": NUMBERS})
    return tmp_path / "index.html"


def test_the_page_holds_its_pictures_and_escapes_everything_else(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    elements = Elements(text)
    nesting = Nesting(text)
    assert nesting.open == nesting.wrong == []
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert len(elements.of("script")) == 1
    assert not elements.of("b")
    (image,) = elements.of("img")  # neither the one from elsewhere nor the one outside of the folder
    assert str(image["src"]).startswith("data:image/png;base64,")
    assert image["alt"] == "Accuracy ] from 1 to 2%"
    assert "../part/index.html" in [link["href"] for link in elements.of("a")]
    assert "secret" not in text
    assert "example.org" not in text
    (policy,) = [m["content"] for m in elements.of("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert {str(link["href"])[1:] for link in elements.of("a") if str(link["href"]).startswith("#")} <= {
        str(e["id"]) for _, e in elements.found if "id" in e
    }


def test_markdown_and_latex_say_the_same(written: Path) -> None:
    text = (written.parent / "report.md").read_text(encoding="utf-8")
    assert "- ρ = .33 [.1, .5]: A relation\n" in text
    assert "![Accuracy ) from 1 to 2%](accuracy.png)" in text
    assert (written.parent / "accuracy.png").read_bytes() == PIXEL
    assert r"78.29 $\pm$ 0.09" in (written.parent / "numbers.tex").read_text(encoding="utf-8")
    assert len(pd.read_csv(written.parent / "numbers.csv")) == 4


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_report(findings(folder, custom(7)))
    return folder / "index.html"


@pytest.mark.parametrize(
    "context",
    [
        {"viewport": {"width": 1280, "height": 900}},
        {"viewport": {"width": 400, "height": 800}, "color_scheme": "dark"},
    ],
    ids=["wide", "narrow and dark"],
)
def test_the_page_of_a_study_opens_in_a_browser(browser: Any, study: Path, context: dict[str, Any]) -> None:
    page, wrong = opened(browser, study, **context)
    assert page.title() == "A study that nobody ran"
    assert page.evaluate("document.documentElement.scrollWidth") <= context["viewport"]["width"]
    assert page.evaluate("Array.from(document.images).every(i => i.complete && i.naturalWidth > 0)")
    shade = sum(map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]))
    assert (shade < 200) == ("color_scheme" in context)
    assert wrong == []


def test_tables_sort_by_click_and_by_keyboard(browser: Any, written: Path) -> None:
    page, wrong = opened(browser, written)

    def column(index: int) -> list[str]:
        cells = f"rows => rows.map(row => row.cells[{index}].textContent)"
        return [str(text) for text in page.eval_on_selector_all("tbody tr", cells)]

    page.get_by_role("button", name="σ 0.1").click()
    assert column(1) == ["-3.0", "9.5 ± 0.1", "78.29 ± 0.09", "–"]
    assert page.locator("th").nth(1).get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")  # the button still has the focus
    assert column(1) == ["78.29 ± 0.09", "9.5 ± 0.1", "-3.0", "–"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert [name[0] for name in column(0)] == ["a", "b", "c", "d"]
    assert page.locator("th").nth(1).get_attribute("aria-sort") == "none"
    assert wrong == []


def test_what_is_wider_than_its_frame_fades_out_until_its_end(browser: Any, written: Path) -> None:
    def fade(page: Any) -> str:
        style = "frame => { const { maskImage, maskSize } = getComputedStyle(frame); return `${maskImage} ${maskSize}`; }"
        return str(page.locator(".table").evaluate(style))

    wide, _ = opened(browser, written, viewport={"width": 1280, "height": 900})
    assert fade(wide).startswith("none")
    narrow, _ = opened(browser, written, viewport={"width": 200, "height": 900})
    assert fade(narrow).endswith(") 100% 100%")
    narrow.locator(".table").evaluate("frame => frame.scrollTo(frame.scrollWidth, 0)")
    narrow.wait_for_function("() => getComputedStyle(document.querySelector('.table')).maskSize.includes('48px')")
    narrow.emulate_media(media="print")
    assert fade(narrow).startswith("none")


def test_numbers_with_many_intervals_are_laid_on_their_side(tmp_path: Path) -> None:
    def written_with(columns: int) -> Elements:
        frame = pd.DataFrame({"Network": ["a [b]"], **{f"σ {i}": ["74.5 [73.6, 75.3]"] for i in range(columns)}})
        write_page(tmp_path, replace(PAGE, sections=[Section("All", "A table.", [Table("all", frame)])]), {})
        return Elements((tmp_path / "index.html").read_text(encoding="utf-8"))

    assert written_with(9).of("table") == [{"class": "many"}]
    broad = written_with(10)
    assert broad.of("table") == [{"class": "many broad"}]
    assert len([span for span in broad.of("span") if span.get("class") == "range"]) == 10


def test_the_answer_comes_before_the_contents(browser: Any, written: Path) -> None:
    page, _ = opened(browser, written)
    order = page.eval_on_selector_all("header, nav, section", "parts => parts.map(part => part.tagName)")
    assert order == ["HEADER", "NAV", "SECTION", "SECTION"]
