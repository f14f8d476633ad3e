"""Presents the findings of a check to the systems that run it: JUnit XML, GitHub annotations, a Markdown summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

import pandas as pd

from robustbench_zs.gate.decision import TOGETHER, Comparison, Rule
from robustbench_zs.reporting import cells


def sentence(comparison: Comparison) -> str:
    """Network, perturbation, change, p and verdict in one line."""
    c = comparison
    images = f", {c.worse} images got worse and {c.better} better" if c.worse is not None else ""
    chance = f"; p = {c.p:.2g}, adjusted {c.adjusted_p:.2g}" if c.p is not None else ""
    return f"{title(c)}: {c.before:.2f}% → {c.now:.2f}% ({c.change:+.2f} points{images}{chance}): {c.verdict}"


def title(comparison: Comparison) -> str:
    """The network with its seed, and the perturbation."""
    seed = "all seeds" if comparison.level == "seeds" else f"seed {comparison.seed}"
    name = comparison.network if comparison.seed is None and comparison.level == "images" else f"{comparison.network} {seed}"
    return f"{name} under {comparison.perturbation}"


def what_was_compared(comparisons: Sequence[Comparison], rule: Rule) -> list[str]:
    """Which question was answered, and which drops the check could have missed."""
    said = []
    if any(c.level == "images" for c in comparisons):
        said.append(
            "Networks with given weights are compared image by image: the result is about these weights, not about the "
            "recipe that made them (two seeds of one recipe differ too)."
        )
    if any(c.level == "seeds" for c in comparisons):
        said.append("Retrained recipes are compared over their seeds; with few seeds only large drops can be detected.")
    if missing := no_verdict(comparisons):
        said.append(missing)
    tested = sum(c.p is not None for c in comparisons)
    stated = [c.detectable for c in comparisons if c.p is not None and c.perturbation != TOGETHER]
    known = [d for d in stated if d is not None]
    if known:
        where = (
            ", depending on the comparison"
            if len(known) == len(stated)
            else f" in {len(known)} of {len(stated)} comparisons"
        )
        said.append(
            f"With 80% power this check detects a drop of {min(known):.1f} to {max(known):.1f} points{where} "
            f"({tested} tests, α = {rule.alpha:g} for all together, drops under {rule.min_drop:g} points do not count)."
        )
    elif stated:
        said.append(
            "With 80% power this check detects no drop: it needs more images, more seeds, fewer comparisons, or networks "
            "that classify more images correctly."
        )
    return said


def no_verdict(comparisons: Sequence[Comparison]) -> str | None:
    """Why there are networks without a verdict, and what to do; None if there are none."""
    every = {(c.network, c.seed) for c in comparisons}
    single = {(c.network, c.seed) for c in comparisons if c.verdict == "no verdict"}
    if not single:
        return None
    return (
        f"No verdict on {len(single)} of {len(every)} networks: each was retrained with a single seed, and two seeds of one "
        "recipe differ too; compare several seeds with a baseline of as many, or make the check about these weights instead "
        "of the recipe."
    )


COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "Network": lambda c: c["network"],
    "Seed": lambda c: "all" if c["level"] == "seeds" else "–" if c["seed"] is None else str(c["seed"]),
    "Perturbation": lambda c: c["perturbation"],
    "Baseline %": lambda c: f"{c['before']:.1f}",
    "Now %": lambda c: f"{c['now']:.1f}",
    "Change": lambda c: f"{c['now'] - c['before']:+.1f}",
    "p (Holm)": lambda c: "–" if c["adjusted_p"] is None else f"{c['adjusted_p']:.2g}",
    "Finding": lambda c: c["verdict"],
    "Detectable": lambda c: "–" if c["detectable"] is None else f"{c['detectable']:.1f}",
}
"""Title of each column for people → its text, from the fields of a comparison."""


def check_table(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """The comparisons as people read them."""
    return pd.DataFrame({title: [text(asdict(c)) for c in comparisons] for title, text in COLUMNS.items()})


def markdown_summary(study: str, comparisons: Sequence[Comparison], rule: Rule) -> str:
    """A section for a step summary: regressions first."""
    ordered = sorted(comparisons, key=lambda c: (c.verdict != "regression", c.verdict != "worse within noise"))
    failed = sum(c.verdict == "regression" for c in comparisons)
    found = "no regression" if any(c.p is not None for c in comparisons) else "no verdict"
    head = f"## zsbench check {study}: {f'{failed} regressions' if failed else found}"
    return "\n\n".join([head, cells.markdown(check_table(ordered)), *what_was_compared(comparisons, rule)]) + "\n"


def junit_xml(study: str, comparisons: Sequence[Comparison]) -> str:
    """One test case per comparison: a regression is a failure that names perturbation, drop and p; no verdict is skipped."""
    failures = [c for c in comparisons if c.verdict == "regression"]
    skipped = [c for c in comparisons if c.verdict == "no verdict"]
    suite = ElementTree.Element(
        "testsuite",
        name=f"zsbench {study}",
        tests=str(len(comparisons)),
        failures=str(len(failures)),
        skipped=str(len(skipped)),
        errors="0",
    )
    for c in comparisons:
        case = ElementTree.SubElement(suite, "testcase", classname=f"zsbench.{study}.{c.network}", name=title(c))
        if c.verdict == "regression":
            message = f"{c.perturbation}: drop of {-c.change:.2f} points, adjusted p = {c.adjusted_p:.2g}"
            ElementTree.SubElement(case, "failure", message=message, type="regression").text = sentence(c)
        elif c.verdict == "no verdict":
            ElementTree.SubElement(case, "skipped", message=f"retrained with a single seed: {sentence(c)}")
        else:
            ElementTree.SubElement(case, "system-out").text = sentence(c)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def github_annotations(comparisons: Sequence[Comparison]) -> list[str]:
    """Workflow commands: an error for a regression, a notice for an improvement, one warning where there is no verdict."""
    kinds = {"regression": "error", "improved": "notice"}
    missing = no_verdict(comparisons)
    warning = [f"::warning title={_escaped('zsbench: no verdict', True)}::{_escaped(missing)}"] if missing else []
    return warning + [
        f"::{kinds[c.verdict]} title={_escaped(f'zsbench: {c.verdict}', True)}::{_escaped(sentence(c))}"
        for c in comparisons
        if c.verdict in kinds
    ]


def _escaped(text: str, in_property: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if in_property else text
