"""Tests whether candidates predict robustness alike in several studies, with one correction for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from robustbench_zs.analysis.conclusions import ESTABLISHED, NO_DIRECTION
from robustbench_zs.analysis.confirmation import Confirmation, finding
from robustbench_zs.analysis.holm import holm
from robustbench_zs.analysis.network_outcomes import SHARE_LOST
from robustbench_zs.analysis.resampling import Floats

NO_RELATION = "nothing is established"


def across_studies(found: Mapping[str, Confirmation]) -> pd.DataFrame:
    """The relations of all studies, corrected for the candidates within each and for the studies by Holm's method.

    Args:
        found: the test of each study by its name.

    Returns:
        One row per study and candidate: `study`, `outcome` and the columns of `Confirmation.relations`.
    """
    corrected = holm_over_studies([c.relations["adjusted"].to_numpy(float) for c in found.values()])
    parts = []
    for (study, confirmation), p in zip(found.items(), corrected, strict=True):
        rows = confirmation.relations.assign(adjusted_studies=p)
        rows["finding"] = [finding(row) for _, row in rows.iterrows()]
        parts.append(rows.assign(study=study, outcome=confirmation.outcome))
    columns = ["study", "outcome", *parts[0].columns[:-2]]
    return pd.concat(parts, ignore_index=True)[columns]


def holm_over_studies(adjusted: Sequence[Floats]) -> list[Floats]:
    """p-values that hold for all relations of all studies, from those that hold for all relations of one.

    It is Holm's method by the closure principle: an intersection of hypotheses is tested in each study by the p-value of its
    part there, times the number of studies it touches. For one relation the worst intersection has, from every other study,
    the relation with the largest p-value or nothing.
    """
    largest = [float(np.nanmax(p, initial=0)) for p in adjusted]
    return [
        np.array([holm([float(p), *largest[:i], *largest[i + 1 :]])[0] for p in of_study], float)
        for i, of_study in enumerate(adjusted)
    ]


def agreement(relations: pd.DataFrame) -> pd.DataFrame:
    """One row per candidate: `predictor` and its `signs`, in words: in which studies robustness rises or falls with it.

    Args:
        relations: see `across_studies`.
    """
    rows = []
    for predictor, group in relations.groupby("predictor", sort=False):
        studies: dict[str, list[str]] = {}
        for _, row in group.iterrows():
            studies.setdefault(_said(row), []).append(row["study"])
        words = "; ".join(f"{what} in {_where(names, len(group), what == NO_RELATION)}" for what, names in studies.items())
        rows.append({"predictor": predictor, "signs": words})
    return pd.DataFrame(rows, columns=["predictor", "signs"])


def _where(names: Sequence[str], studies: int, negated: bool) -> str:
    if 1 < len(names) == studies:
        of_two, of_more = ("either study", "any study") if negated else ("both studies", "all studies")
        return of_two if studies == 2 else of_more
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def change_of_robustness(row: pd.Series) -> str | None:
    """`"robustness rises"` or `"robustness falls"` as the candidate grows; None where neither is established."""
    if not row["finding"].startswith(ESTABLISHED):
        return None
    better = (row["rho"] > 0) != row["outcome"].startswith(SHARE_LOST)
    return f"robustness {'rises' if better else 'falls'}"


def _said(row: pd.Series) -> str:
    """What may be said of robustness and a candidate in one study."""
    if change := change_of_robustness(row):
        return f"{change} with it"
    return "no direction can be stated" if row["finding"].startswith(NO_DIRECTION) else NO_RELATION
