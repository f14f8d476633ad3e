"""The page of a report: what stands in it, and how it behaves in a browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from robustbench_zs.reporting.html import write_html

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
COMMITTED = sorted((ROOT / "reports").glob("*/report.md"))
CIFAR10 = ROOT / "reports" / "cifar10-small" / "index.html"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)

REPORT = """# <script>alert(1)</script> & "co"

## In short

- One [link](../part/report.md), one ![far](http://example.org/x.png), one ![up](../secret.png) picture, <b>raw</b>.

![Accuracy from 1 to 2%](accuracy.png)

## Numbers

| Network | Accuracy |
|---|--:|
| b | 9.5 ± 0.1 |
| a <img src=x onerror=alert(1)> | – |
| c | 78.29 ± 0.09 |
| d | -3.0 |
"""


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


@pytest.fixture
def written(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "report.md").write_text(REPORT, encoding="utf-8")
    (folder / "accuracy.png").write_bytes(PIXEL)
    (tmp_path / "secret.png").write_bytes(PIXEL)
    write_html(folder)
    return folder / "index.html"


def test_the_page_holds_its_pictures_and_escapes_everything_else(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    elements = Elements(text)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert len(elements.of("script")) == 1
    assert not elements.of("b")
    (image,) = elements.of("img")  # neither the one from elsewhere nor the one outside of the folder
    assert str(image["src"]).startswith("data:image/png;base64,")
    assert image["alt"] == "Accuracy from 1 to 2%"
    assert [link["href"] for link in elements.of("a")][-1] == "../part/index.html"
    assert "secret" not in text
    assert "example.org" not in text
    (policy,) = [m["content"] for m in elements.of("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("report", COMMITTED, ids=lambda path: path.parent.name)
def test_committed_pages_are_those_of_their_reports(report: Path, tmp_path: Path) -> None:
    folder = tmp_path / report.parent.name
    shutil.copytree(report.parent, folder)
    write_html(folder)
    assert (folder / "index.html").read_bytes() == (report.parent / "index.html").read_bytes()
    elements = Elements((folder / "index.html").read_text(encoding="utf-8"))
    assert elements.of("img")
    for image in elements.of("img"):
        assert re.search(r"\d", str(image["alt"])), "a text alternative says what the picture shows, in numbers"
    assert not [e for _, e in elements.found if re.match("https?:|//", str(e.get("src", "")))]
    assert len((folder / "index.html").read_bytes()) < 5_000_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("there is no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


def opened(browser: Any, path: Path, **context: Any) -> tuple[Page, list[str]]:
    """The page, and what it should not do: messages on the console, errors, requests beyond the file itself."""
    page: Page = browser.new_context(**context).new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if request.url.startswith(("http", "ws")) else None)
    page.goto(path.as_uri())
    return page, wrong


@pytest.mark.parametrize(
    "context",
    [
        {"viewport": {"width": 1400, "height": 900}},
        {"viewport": {"width": 390, "height": 800}},
        {"viewport": {"width": 1200, "height": 900}, "color_scheme": "dark"},
    ],
    ids=["wide", "narrow", "dark"],
)
def test_the_committed_cifar10_page_opens_in_a_browser(browser: Any, context: dict[str, Any]) -> None:
    page, wrong = opened(browser, CIFAR10, **context)
    assert page.title() == "Table 10's schemes on 4,000 images of CIFAR-10"
    assert page.evaluate("document.documentElement.scrollWidth") <= context["viewport"]["width"]
    assert page.evaluate("Array.from(document.images).every(i => i.complete && i.naturalWidth > 0)")
    dark = "color_scheme" in context
    shade = sum(map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]))
    assert (shade < 200) == dark
    assert wrong == []


def test_tables_sort_by_click_and_by_keyboard(browser: Any, written: Path) -> None:
    page, wrong = opened(browser, written)

    def column(index: int) -> list[str]:
        cells = f"rows => rows.map(row => row.cells[{index}].textContent)"
        return [str(text) for text in page.eval_on_selector_all("tbody tr", cells)]

    page.get_by_role("button", name="Accuracy").click()
    assert column(1) == ["-3.0", "9.5 ± 0.1", "78.29 ± 0.09", "–"]
    assert page.locator("th").nth(1).get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")  # the button still has the focus
    assert column(1) == ["78.29 ± 0.09", "9.5 ± 0.1", "-3.0", "–"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert [name[0] for name in column(0)] == ["a", "b", "c", "d"]
    assert page.locator("th").nth(1).get_attribute("aria-sort") == "none"
    assert wrong == []


def test_the_keyboard_reaches_the_content_first(browser: Any, written: Path) -> None:
    page, _ = opened(browser, written)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
