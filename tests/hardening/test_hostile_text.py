"""Strings from files in everything that is written of them: page, Markdown, LaTeX, CSV, pictures, JUnit, terminal."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_files import STUDY, baseline, write_checkpoint

from robustbench_zs import read_baseline
from robustbench_zs.cli.main import main
from robustbench_zs.errors import RequestError
from robustbench_zs.gate import Rule, compare
from robustbench_zs.gate.rendering import junit_xml, markdown_summary
from robustbench_zs.reporting import drawing, root_figures
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.studies.load import load_study
from robustbench_zs.studies.plan import make_plan
from robustbench_zs.studies.run import run_study
from robustbench_zs.training import read_checkpoint, train
from robustbench_zs.training.checkpoint import METADATA_KEY
from robustbench_zs.training.header import Header

HOSTILE = (
    r"""<script>alert(1)</script><img src=x onerror=alert(1)>"'`{{ 7*7 }}{% raw %}](javascript:alert(1))"""
    r"""![x](http://example.org/x.png)[y](javascript:alert(2))|$\bad{$\input{/etc/passwd}**_&amp;</td></table>"""
)
"""Of everything that a page, a template, a table or a typesetter could take for its own."""

PERTURBATIONS = """
[[perturbations]]
kind = "gaussian"
delta = [0.1, 0.2]
[[perturbations]]
kind = "fgsm"
eps = 0.1
[transfer]
eps = 0.1
steps = 1
[curve]
eps = 0.2
steps = 1
"""


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


def check_page(page: str) -> None:
    """Nothing in the page but what its template and the report put there."""
    elements = Elements(page).found
    assert [tag for tag, _ in elements].count("script") == 1
    assert {"iframe", "object", "embed", "form", "base", "svg"}.isdisjoint(tag for tag, _ in elements)
    for tag, attributes in elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href"):
            value = attributes.get(name) or ""
            assert not re.match(r"(?i)\s*(javascript|vbscript|http|//)", value), (tag, value)
            assert not value.startswith("data:") or re.match(r"data:image/(png|svg\+xml);base64,", value)
    assert "alert(1)&lt;/script&gt;" in page or "alert" not in page


@pytest.fixture
def reported(working_folder: Path) -> Path:
    """The report of a study whose title, note, network and scheme have hostile names."""
    text = STUDY.replace(
        'name = "tiny"\n', f"name = \"tiny\"\ntitle = '''{HOSTILE}'''\nnote = '''{HOSTILE}\n\n# {HOSTILE}'''\n"
    )
    (working_folder / "a.toml").write_text(text + PERTURBATIONS)
    part = load_study("a.toml")
    (step,) = make_plan(part).evaluations
    task = step.task
    (made,) = train(
        [task.network],
        train_examples=32,
        test_examples=16,
        recipe=task.recipe,
        seeds=[task.seed],
        folder=task.folder,
        device="cpu",
        threads=1,
    )
    weights, header = load_file(made.path), made.header.model_dump(mode="json")
    header["network"]["name"] = header["network"]["scheme"]["name"] = header["environment"]["gpu"] = HOSTILE
    header["dataset"]["name"] = HOSTILE
    with safe_open(made.path, "pt") as file:
        metadata = file.metadata() | {METADATA_KEY: Header.model_validate(header).model_dump_json()}
    save_file(weights, made.path, metadata)
    return run_study("a.toml", device="cpu", threads=1).folder


def test_a_report_of_hostile_names_is_harmless(reported: Path) -> None:
    check_page((reported / "index.html").read_text(encoding="utf-8"))
    text = (reported / "report.md").read_text(encoding="utf-8")
    assert "{{ 7*7 }}" in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "alert" in line]
    assert rows
    assert not [row for row in rows if re.search(r"(?<!\\)<(?!br)", row)], "a table's cell has raw HTML"
    results = pd.read_csv(reported / "results.csv")
    assert set(results["network"]) == {HOSTILE}
    for table in reported.glob("*.tex"):
        content = table.read_text(encoding="utf-8")
        assert r"\input" not in content
        assert r"\bad" not in content
        body = content.partition(r"\midrule")[2]
        assert not re.search(r"\\\\\n\s*[\[*]", body), "the row break of LaTeX takes what follows for its argument"
    for picture in ("answer", "accuracy", "plane", "curves", "degradation", "roots"):
        check_picture((reported / f"{picture}.svg").read_bytes())
    assert (reported / "examples.png").stat().st_size > 1000


def check_picture(svg: bytes) -> None:
    """Only what draws: no script, no handler, no reference out of the file."""
    for element in ElementTree.fromstring(svg).iter():
        assert not str(element.tag).endswith(("script", "foreignObject"))
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on")
            assert not name.endswith("href") or value.startswith(("#", "data:image/png"))


@pytest.mark.parametrize("name", ["$", r"$\bad{$", "$x$ and $", "\\", "%s {} <b>", "𝟙 ± \u202e"])
def test_names_are_drawn_as_they_are(name: str) -> None:
    scheme = MultistepScheme(["1"], 1, name)
    drawn = root_figures.roots_in_the_plane({name: scheme})
    assert drawing.png(drawn).startswith(b"\x89PNG")
    check_picture(drawing.svg(drawn))


@pytest.mark.parametrize("name", ["line\nbreak", "\x1b[2Jclear", "\x9b2J", "bell\a", "\u2028", "\0"])
@pytest.mark.parametrize("place", ["network", "scheme", "dataset"])
def test_names_that_cannot_be_printed_are_refused_in_a_header(tmp_path: Path, place: str, name: str) -> None:
    good = read_checkpoint(write_checkpoint(tmp_path / "good.safetensors")).header.model_dump(mode="json")
    table = good["network"]["scheme"] if place == "scheme" else good[place]
    table["name"] = name
    with pytest.raises(RequestError, match="can be printed"):
        read_checkpoint(write_checkpoint(tmp_path / "x.safetensors", good))


@pytest.mark.parametrize("name", ["line\nbreak", "\x1b[2Jclear", "\0"])
def test_names_that_cannot_be_printed_are_refused_in_a_baseline(tmp_path: Path, name: str) -> None:
    for change in ({"study": name}, network(network=name), network(outcomes={name: outcome()})):
        with pytest.raises(RequestError, match="can be printed"):
            read_baseline(written(tmp_path / "x.json", change))


def outcome() -> dict[str, Any]:
    return {"accuracy": 50.0, "correct": "8A=="}


def network(**changed: Any) -> dict[str, Any]:
    return {"networks": [{**baseline()["networks"][0], **changed}]}


def written(path: Path, changed: dict[str, Any]) -> Path:
    import json

    path.write_text(json.dumps({**baseline(), **changed}))
    return path


def test_names_of_a_baseline_are_escaped_in_what_other_programs_read(tmp_path: Path) -> None:
    change = {"study": HOSTILE[:150], **network(network=HOSTILE, outcomes={HOSTILE: outcome()})}
    found = read_baseline(written(tmp_path / "x.json", change))
    comparisons = compare(found.entries, found.entries, Rule(), power=False)
    suite = ElementTree.parse(io.StringIO(junit_xml(found.study, comparisons))).getroot()
    assert [child.tag for child in suite] == ["testcase"]
    rows = [line for line in markdown_summary("x", comparisons, Rule()).splitlines() if "alert" in line]
    assert rows
    assert not [row for row in rows if "<" in row]


def test_a_baseline_of_other_images_or_perturbations_is_refused(tmp_path: Path) -> None:
    before = read_baseline(written(tmp_path / "a.json", {}))
    others = (
        {"images": 16, **network(outcomes={"clean": {"accuracy": 1.0, "correct": "8AA="}})},
        network(outcomes={"x": outcome()}),
    )
    for change in others:
        with pytest.raises(RequestError, match="other settings"):
            before.check_settings(read_baseline(written(tmp_path / "b.json", change)))


def test_a_name_from_a_header_is_text_in_the_terminal(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    good = read_checkpoint(write_checkpoint(working_folder / "good.safetensors")).header.model_dump(mode="json")
    good["network"]["name"] = "[bold red]x[/] [link=http://example.org]y"
    write_checkpoint(working_folder / "x.safetensors", good)
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "x.safetensors", "--examples", "3"])
    assert end.value.code == 0
    assert "[bold red]x[/] [link=http://example.org]y" in capsys.readouterr().out
