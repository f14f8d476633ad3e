"""What all kinds of reports share, and the pages of studies without findings on schemes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from robustbench_zs.reporting import tables
from robustbench_zs.reporting.page import Page, Section, Table
from robustbench_zs.system.environment import environment

_COUNTED = {
    "equal as printed": "{n} equal as printed",
    "within the combined spread": "{n} within the combined spread",
    "outside the combined spread": "{n} outside the combined spread",
    "differs; the paper gives no spread": "{n} different, without a spread in the paper",
    "the paper gives no spread": "{n} without a spread in the paper",
    "no spread here: one seed": "{n} without a spread here (one seed)",
    "the paper gives no figure": "{n} that the paper does not print",
}

NORMS = {"linf": "L∞", "l2": "L2"}


class Described(Protocol):
    """What a page says about its study: `request` is what `zsbench run` takes."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def note(self) -> str: ...
    @property
    def scaled(self) -> str: ...
    @property
    def request(self) -> str: ...


def plain_page(study: Described, verdict: str, sections: Sequence[Section], made: Sequence[str]) -> Page:
    """A page of a study whose answer is one sentence; `made` says how it was made, line by line."""
    said = [verdict, study.note, f"Scaled down, {study.scaled}." if study.scaled else ""]
    how = Section("How it was made", f"Study `{study.name}`.", [bullets([*made, again(study.request or study.name)])])
    return Page(study.name, study.title or study.name, "\n\n".join(filter(None, said)), [*sections, how])


def beside_paper(beside: pd.DataFrame, paper: str, scaled: str, runs: str) -> tuple[str, Section]:
    """A sentence that counts the findings, and the section with the cells; `runs` says what the numbers are means of."""
    counts = Counter(beside["verdict"])
    sentence = f"Of {count(len(beside), 'number')} beside the paper's: " + ", ".join(f"{n} {w}" for w, n in counts.items())
    lead = f"These are the numbers of the paper's {paper.replace('table', 'Table ')}{runs}."
    if paper == "figure4":
        lead = "The paper draws these accuracies in its Figure 4 and prints no numbers."
    warning = "**Scaled down: each network stands for the paper's network with the same scheme; agreement is not expected.**"
    return f"{sentence}.", Section(
        "Beside the paper's numbers",
        lead,
        [*([warning] if scaled else []), Table("against_paper", tables.against_paper_table(beside))],
    )


def again(request: str) -> str:
    """How to run a study and how to redraw its report."""
    return f"To repeat: `zsbench run {request}`. To redraw the report from stored results: `zsbench report {request}`."


def versions() -> str:
    """Libraries and hardware in one line."""
    return made_with(environment())


def made_with(found: Mapping[str, Any]) -> str:
    """Versions and hardware as one line."""
    order = dict.fromkeys([*environment(), *found])  # what comes from the store is in alphabetical order
    return ", ".join(f"{name} {found[name]}" for name in order if found.get(name) is not None)


def bullets(sentences: Sequence[str]) -> str:
    """A list in Markdown."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def count(n: int, thing: str) -> str:
    """`"1 scheme"`, `"2 schemes"`."""
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def in_a_row(words: Sequence[str], last: str = " and ") -> str:
    """`"a, b and c"`; `last` stands before the last one."""
    return last.join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
