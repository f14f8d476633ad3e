"""Write what the atlas measured into the package: one CSV per data set, see `robustbench_zs.schemes.measured`.

    python benchmarks/atlas/export_atlas.py atlas-digits atlas-cifar10 atlas-mnist --data-dir data

It computes nothing: the studies are to be finished in `reports/results.sqlite`.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pandas as pd

from robustbench_zs.reporting.atlas.study import AtlasStudy
from robustbench_zs.schemes import measured
from robustbench_zs.studies.study_report import stored_findings

FOLDER = Path(measured.__file__).parent
NAMES = {"clean accuracy": "clean_accuracy", "generalization gap": "gap", "mean smallest ε": "smallest_eps"}


def measured_table(atlas: AtlasStudy) -> pd.DataFrame:
    """One row per scheme with the columns that `schemes.measured` describes."""
    outcomes = list(atlas.halves[0].means.outcomes.index)
    frame = atlas.schemes[["scheme", "seeds", *outcomes]].rename(columns={name: column_of(name) for name in outcomes})
    frame.insert(1, "depth", atlas.study.facts.headers[0].network.depth)
    return frame.round({c: 6 if c == "smallest_eps" else 3 for c in frame.columns[3:]})


def column_of(outcome: str) -> str:
    """`"lost_gaussian_0.1"` of `"share lost, gaussian(delta=0.1)"`."""
    kind, _, label = outcome.partition(", ")
    name, *_ = label.partition("(")
    return NAMES.get(kind) or "_".join(["lost", name, *re.findall(r"=(-?[\d.]+)", label)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+")
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, default=FOLDER)
    asked = parser.parse_args()
    for name in asked.studies:
        (found,) = stored_findings(name, data_dir=asked.data_dir)
        table = measured_table(AtlasStudy(found))
        path = asked.out / f"{found.facts.headers[0].dataset.name}.csv"
        table.to_csv(path, index=False)
        print(f"{path}: {len(table)} schemes, {', '.join(table.columns[3:])}")


if __name__ == "__main__":
    main()
