"""The report of an atlas: whole at any size, and honest about what is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from browsers import chromium, opened
from synthetic_studies import findings

import robustbench_zs as zs
from robustbench_zs.reporting.across import write_joint_findings
from robustbench_zs.reporting.atlas.explorer import write_explorer
from robustbench_zs.reporting.atlas.sections import compared, confirmed
from robustbench_zs.reporting.atlas.study import AtlasStudy
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.report import write_report
from robustbench_zs.schemes.atlas import atlas_names


def study(
    folder: Path, each: int, seeds: int = 1, halves: tuple[str, ...] = ("discovery", "confirmation"), bent: bool = False
) -> Findings:
    names = [name for half in halves for name in atlas_names(half, each)]  # type: ignore[arg-type]
    networks = [zs.network_from_name(f"{name}:depth=20,widths=8-16-32") for name in names]
    found = findings(folder, networks, seeds, bent=bent)
    return replace(found, facts=replace(found.facts, atlas=True, name="atlas-digits"))


@pytest.mark.parametrize(("each", "seeds"), [(1, 1), (30, 2)])
def test_a_report_is_whole_at_any_size(tmp_path: Path, each: int, seeds: int) -> None:
    write_report(study(tmp_path, each, seeds))
    text = (tmp_path / "report.md").read_text()
    assert not re.search(r"(?i)(?<![\w-])(nan|inf)(?![\w-])", text)
    assert "None" not in text
    named = set(re.findall(r"\]\((?!\.\.)([\w.]+)\)", text)) | set(re.findall(r"`(\w+\.csv)`", text)) - {"gaps.csv"}
    assert {"answer.svg", "schemes.csv"} <= named
    assert not [name for name in named if not (tmp_path / name).is_file()]
    assert len(pd.read_csv(tmp_path / "schemes.csv")) == 2 * each
    assert set(pd.read_csv(tmp_path / "confirmation.csv")["schemes"]) == {each}
    assert pd.read_csv(tmp_path / "predictions.csv")["predictor"].nunique() == 3
    if each == 30:  # drawn so that a larger modulus is less robust
        relations = pd.read_csv(tmp_path / "confirmation.csv", index_col="predictor")
        assert relations.loc["largest_modulus", "finding"] == "established, falling"
        assert "## How well could anything predict it?" in text


def test_one_half_claims_nothing_and_diverged_networks_are_left_out(tmp_path: Path) -> None:
    found = study(tmp_path, 4, halves=("discovery",))
    broken = found.facts.headers[0].model_copy(update={"diverged_at": 1})
    atlas = AtlasStudy(replace(found, facts=replace(found.facts, headers=[broken, *found.facts.headers[1:]])))
    assert atlas.confirmation is None
    assert atlas.judged.empty
    assert len(atlas.schemes) == 3
    assert "4 networks, of which 1 diverged" in str(compared(atlas).blocks)
    assert confirmed(atlas) is None


def test_the_interactive_page_asks_nobody_and_holds_every_scheme(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert", reason="the extra `interactive` is not installed")
    import vl_convert

    assert write_explorer(tmp_path / "schemes.html", "An atlas", AtlasStudy(study(tmp_path, 6)).schemes, 9)
    page = (tmp_path / "schemes.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="?https?:', page)
    assert len(page) < 1_200_000
    spec = json.loads(re.search(r"const spec = (\{.*\});", page)[1])  # type: ignore[index]
    rows = spec["data"]["values"]
    assert len(rows) == 12
    assert all(len(row["g"]) == 9 and len(row["re"]) == len(row["im"]) for row in rows)
    assert vl_convert.vegalite_to_vega(spec)["marks"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("vl_convert", reason="the extra `interactive` is not installed")
    folder = tmp_path_factory.mktemp("explorer")
    write_explorer(folder / "schemes.html", "An atlas", AtlasStudy(study(folder, 12)).schemes, 9)
    return folder / "schemes.html"


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("touch", [False, True])
def test_a_click_or_a_touch_chooses_a_scheme_and_holds_it(browser: Any, explorer: Path, width: int, touch: bool) -> None:
    page, wrong = opened(browser, explorer, viewport={"width": width, "height": 900}, has_touch=touch)
    shown = page.locator("#facts dd").first
    assert shown.inner_text() == "atlas-001, discovery half"
    plot = page.locator("canvas")
    box = plot.bounding_box()
    assert box is not None
    for right in (0.6, 0.3):  # near no point in particular
        before = shown.inner_text()
        position = {"x": right * box["width"], "y": 0.2 * box["height"]}
        plot.tap(position=position) if touch else plot.click(position=position)  # type: ignore[arg-type]
        page.wait_for_function("old => document.querySelector('#facts dd').textContent !== old", arg=before)
        held = shown.inner_text()
        page.mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 0.3 * box["height"])
        page.wait_for_timeout(50)
        assert shown.inner_text() == held
        assert page.locator("#scheme").input_value() == held.split(",")[0]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert box["x"] + box["width"] <= width
    assert wrong == []


def test_a_scheme_is_found_by_its_number(browser: Any, explorer: Path) -> None:
    page, wrong = opened(browser, explorer)
    field, shown = page.locator("#scheme"), page.locator("#facts dd").first
    for typed, name in (("402", "atlas-402"), ("atlas-003", "atlas-003"), ("7", "atlas-007"), ("none", "atlas-007")):
        field.fill(typed)
        field.press("Enter")
        page.wait_for_function("name => document.querySelector('#facts dd').textContent.startsWith(name)", arg=name)
        assert field.input_value() == name
        assert shown.inner_text().startswith(name)
    assert wrong == []


def test_several_studies_are_corrected_together(tmp_path: Path) -> None:
    first, second = study(tmp_path, 12), study(tmp_path, 14)
    plain = replace(second, facts=replace(second.facts, atlas=False, name="another"))
    write_joint_findings(tmp_path / "joint", [first, plain])
    relations = pd.read_csv(tmp_path / "joint" / "relations.csv")
    assert relations.groupby("study")["schemes"].max().to_dict() == {"another": 28, "atlas-digits": 12}
    assert (relations["adjusted_studies"] >= relations["adjusted"]).all()
    text = (tmp_path / "joint" / "report.md").read_text()
    assert "## What was predicted, and what was found" in text


def test_a_bend_is_said_where_both_halves_have_it(tmp_path: Path) -> None:
    steady, bent = study(tmp_path, 60), study(tmp_path, 60, bent=True)
    bent = replace(bent, facts=replace(bent.facts, name="atlas-cifar10"))
    assert AtlasStudy(steady).bends == {}
    assert AtlasStudy(study(tmp_path, 60, halves=("confirmation",), bent=True)).bends == {}
    found = AtlasStudy(bent).bends["largest_modulus"]
    assert found.peak
    assert found.value == pytest.approx(1, abs=0.1)
    write_joint_findings(tmp_path / "joint", [steady, bent])
    text = (tmp_path / "joint" / "report.md").read_text()
    place = f"where the largest modulus is about {found.value:.2f} in atlas-cifar10, and lower on both sides"
    assert f"robustness is highest {place}" in text
    assert "in atlas-digits, and lower" not in text
    assert "the sign predicted for CIFAR-10 could not be decided" in text  # the noise gain has no relation here
