"""How many reports state a relation that is not there: `python benchmarks/inference/false_relations.py`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd
from worlds import networks, same_share_lost, unrelated

from robustbench_zs.analysis import Conclusions, conclude

World = Callable[[list[str], np.random.Generator], pd.DataFrame]

WORLDS: dict[str, World] = {
    "nothing is related": unrelated,
    "schemes do not differ": lambda names, generator: unrelated(names, generator, between=0.0),
    "all lose the same share": same_share_lost,
}


def stated(conclusions: Conclusions, families: tuple[str, ...] = ("clean images", "robustness")) -> dict[str, bool]:
    """Whether the report states any relation of the largest modulus, of the best predictor, of zero-stability."""
    tables = {"modulus": conclusions.modulus, "best": conclusions.best, "zero-stability": conclusions.effects}
    return {
        name: bool((table["finding"].str.startswith("established") & table["family"].isin(families)).any())
        for name, table in tables.items()
    }


def false_relations(world: str, schemes: int, reports: int, draws: int, seed: int = 0) -> pd.Series:
    """Shares of reports with a false statement, by what it is about, and with any.

    Where all lose the same share the relation of clean accuracy is real, and statements of robustness are the false ones.
    """
    generator, names = np.random.default_rng(seed), networks(schemes)
    families = ("robustness",) if world == "all lose the same share" else ("clean images", "robustness")
    found = pd.DataFrame(stated(conclude(WORLDS[world](names, generator), draws), families) for _ in range(reports))
    return found.assign(any=found.any(axis=1)).mean()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--reports", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=999)
    options = parser.parse_args()
    columns = ("world", "schemes", "reports", "largest modulus", "best predictor", "zero-stability", "any")
    print(f"| {' | '.join(columns)} |\n|---|--:|--:|--:|--:|--:|--:|")
    for world in WORLDS:
        for schemes in (4, 6, 8, 10, 24, 100):
            reports = options.reports if schemes == 10 else options.reports // 4
            shares = false_relations(world, schemes, reports, options.draws)
            print(f"| {world} | {schemes} | {reports} | " + " | ".join(f"{100 * s:.1f}%" for s in shares) + " |", flush=True)


if __name__ == "__main__":
    main()
