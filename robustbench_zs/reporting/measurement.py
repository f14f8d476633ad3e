"""Reports of studies without trainings, and of several studies that make one table of the paper."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pandas as pd
from jinja2 import Environment, StrictUndefined

from robustbench_zs.reporting import tables
from robustbench_zs.reporting.html import write_html
from robustbench_zs.reporting.latex import latex_table
from robustbench_zs.system.environment import environment
from robustbench_zs.system.files import write_atomically

Section = tuple[str, str, pd.DataFrame]
"""Heading, text, and the table as people read it."""


@dataclass(frozen=True)
class Page:
    """What stands in such a report: `request` is what `zsbench run` takes, `made` says how it was made, line by line."""

    name: str
    title: str
    request: str
    note: str
    scaled: str
    sentences: Sequence[str]
    sections: Sequence[Section]
    made: Sequence[str] = ()


def write_page(folder: Path, page: Page, csv: Mapping[str, pd.DataFrame]) -> None:
    """Write `report.md` and its page, one CSV a table and LaTeX of those shown into `folder`.

    Raises:
        UnfinishedError: the folder cannot be written.
    """
    template = resources.files("robustbench_zs.reporting").joinpath("measurement.md.j2").read_text(encoding="utf-8")
    text = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False).from_string(template)
    for name, frame in csv.items():
        write_atomically(folder / f"{name}.csv", frame.to_csv(index=False))
    rendered = text.render(
        name=page.name,
        title=page.title or page.name,
        request=page.request,
        note=page.note,
        scaled=page.scaled,
        sentences=page.sentences,
        sections=[(heading, words, tables.markdown(table)) for heading, words, table in page.sections],
        made=page.made,
    )
    for heading, _, table in page.sections:
        write_atomically(folder / f"{_file_name(heading)}.tex", latex_table(table))
    write_atomically(folder / "report.md", rendered)
    write_html(folder)


def _file_name(heading: str) -> str:
    return re.sub(r"\W+", "_", heading.lower()).strip("_")


def beside_paper(beside: pd.DataFrame, paper: str, scaled: str, runs: str) -> tuple[str, Section]:
    """A sentence that counts the findings, and the section with the cells; `runs` says of what the numbers are means."""
    counts = Counter(beside["verdict"])
    sentence = f"{len(beside)} numbers beside the paper's: " + ", ".join(f"{n} {what}" for what, n in counts.items()) + "."
    words = f"{paper.replace('table', 'Table ')} of the paper{runs}."
    if scaled:
        words += " **Run scaled down: each network stands for the paper's one of its scheme; agreement is not expected.**"
    return sentence, ("Beside the paper's numbers", words, tables.against_paper_table(beside))


def versions() -> str:
    """Libraries and hardware in one line."""
    return ", ".join(f"{name} {value}" for name, value in environment().items() if value is not None)
