"""What the paper reports, as data: means, and standard deviations over three runs where it gives them."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def paper_results(table: str) -> pd.DataFrame:
    """The cells of one of the paper's tables, none if its numbers are not in the paper.

    Args:
        table: `"table1"` to `"table10"`.

    Returns:
        One row a cell: `dataset` (`"-"` where there is none), `scheme` (as in this package), `depth`, `outcome` (a
        perturbation's label, `"gap"`, `"parameters (millions)"`, `"test, batch 128"`, `"modulus 1"`, …), `mean` and `std`
        in percent, points, millions or seconds; `std` is NaN where none is given.
    """
    import pandas as pd

    source = resources.files("robustbench_zs.paper").joinpath("results.csv")
    with source.open(encoding="utf-8") as file:
        cells = pd.read_csv(file)
    return cells[cells["table"] == table].drop(columns="table").reset_index(drop=True)
