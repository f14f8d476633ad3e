"""Reports of studies of every kind: all sections are there, all files that they name, and nothing grows with the schemes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from synthetic_studies import atlas, custom, findings

import robustbench_zs as zs
from robustbench_zs.analysis.labels import network_labels, perturbation_labels
from robustbench_zs.networks import NetworkSpec
from robustbench_zs.reporting.answer import headline
from robustbench_zs.reporting.page import Section
from robustbench_zs.reporting.plain import plain_page
from robustbench_zs.reporting.report import write_report
from robustbench_zs.reporting.sections import SECTIONS
from robustbench_zs.studies.load import load_study

MIXED = ("zerosnet20-tra", "resnet20", "preresnet20", "zerosnet20-opt", "lm-resnet20", "table10-3:depth=20")
WIDEST = 10 * 72
"""Points of the widest figure that a page holds."""


@pytest.mark.parametrize(
    ("networks", "seeds", "curves"),
    [
        (atlas(1), 1, True),
        (atlas(2), 2, False),
        (custom(8), 2, True),
        (atlas(24), 2, True),
        (atlas(200), 1, True),
        ([zs.network_from_name(name) for name in MIXED], 2, True),
        ([zs.network_from_name("resnet20")], 1, False),
    ],
    ids=["one", "two", "long names", "24", "200", "all kinds of networks", "none with roots"],
)
def test_a_report_of_any_size_is_whole(tmp_path: Path, networks: list[NetworkSpec], seeds: int, curves: bool) -> None:
    write_report(findings(tmp_path, networks, seeds, curves))
    text, page = ((tmp_path / name).read_text(encoding="utf-8") for name in ("report.md", "index.html"))
    assert not re.search(r"(?i)(?<![\w-])(nan|inf)(?![\w-])", re.sub('base64,[^"]+', "", page))
    assert not re.search(r"None(?! of)", text)
    assert len(page) < 2_000_000
    named = set(re.findall(r"\]\((?!\.\.)([\w.]+)\)", text)) | set(re.findall(r"`(\w+\.csv)`", text))
    assert {"accuracy.svg", "results.csv"} <= named
    assert not [name for name in named if not (tmp_path / name).is_file()]
    for picture in tmp_path.glob("*.svg"):
        width, height = (float(ElementTree.fromstring(picture.read_bytes()).attrib[a][:-2]) for a in ("width", "height"))
        assert max(width, height) < WIDEST, picture.name
        assert re.search(r"\d", re.search(rf"!\[(.*)\]\({picture.name}\)", text)[1])  # type: ignore[index]
    for name in {spec.name for spec in networks}:
        assert name in text


def test_a_section_that_has_nothing_to_say_is_left_out_and_others_can_be_added(tmp_path: Path) -> None:
    study = replace(findings(tmp_path, atlas(3), 1, curves=False))
    write_report(study, [*SECTIONS, lambda found: Section("More", f"{len(found.networks)} networks.")])
    headings = re.findall(r"^## (.*)$", (tmp_path / "report.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[-1] == "More"
    assert not {"Robustness curves", "Trainable coefficients", "Diverged trainings", "What the networks see"} & {*headings}


def test_a_measurement_has_the_same_page() -> None:
    study = load_study("table10")
    assert study.measured
    page = plain_page(study, "All equal.", [], ["Counted."])
    assert "`zsbench run table10`" in str(page.sections[-1].blocks)


def test_short_names_are_short_and_different() -> None:
    names = [spec.name for spec in custom(3)] + ["table10-1:depth=56", "zerosnet56-opt"]
    labels = network_labels(names)
    assert list(labels.values())[:3] == ["custom-1:depth=20", "custom-2:depth=20", "custom-3:depth=20"]
    assert list(network_labels(spec.name for spec in atlas(2)).values()) == ["atlas-001", "atlas-002"]
    short = perturbation_labels(
        ["clean", "pgd(eps=8/255, steps=10)", "pgd(eps=8/255, steps=40)", "uniform(low=-0.3, high=0)"]
    )
    assert list(short.values()) == ["clean", "pgd(eps=8/255, steps=10)", "pgd(eps=8/255, steps=40)", "U[−0.3, 0]"]
    assert perturbation_labels(["square(eps=0.5, queries=9, norm=l2)"]).popitem()[1] == "Square L2 0.5"


def test_the_headline_is_an_attack_that_leaves_room_for_differences(tmp_path: Path) -> None:
    """With one seed nothing is known of reliability; an attack after which nothing stands would be an empty picture."""
    study = findings(tmp_path, atlas(6), 1, curves=False)
    place = headline(study)
    assert place is not None
    chosen = study.conclusions.modulus["outcome"][place]
    lost = study.outcomes[study.outcomes["kind"] == "share lost"].groupby("outcome")["value"].mean()
    attacks = [outcome for outcome in lost.index if outcome.partition(", ")[2] in study.attacks]
    assert chosen == min(attacks, key=lambda outcome: abs(lost[outcome] - 50))
