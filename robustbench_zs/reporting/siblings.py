"""Finds other reports in the same folder about the same networks, since these are not replications."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def shared_networks(folder: Path, digests: set[str]) -> list[str]:
    """A sentence for each report beside the one in `folder` that shares networks with it, by their digests."""
    sentences = []
    for table in sorted(folder.parent.glob("*/results.csv")):
        here = set() if table.parent.name == folder.name else digests & _digests(table)
        if here:
            which = "All" if len(here) == len(digests) else f"{len(here)} of its"
            name = table.parent.name
            sentences.append(
                f"{which} {len(digests)} networks are also in [`{name}`](../{name}/report.md), so the two reports are not "
                "independent evidence."
            )
    return sentences


def _digests(table: Path) -> set[str]:
    try:
        return set(pd.read_csv(table, usecols=["digest"], dtype=str)["digest"].dropna())
    except (ValueError, OSError):  # not one of our tables, or not readable: nothing is known of it
        return set()
