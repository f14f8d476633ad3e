"""Measurements without training, and their report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from robustbench_zs.analysis.against_paper import against_paper
from robustbench_zs.analysis.runtime import runtime_summary
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.runtime import measure_runtime
from robustbench_zs.networks.table import networks_table
from robustbench_zs.paper import paper_results
from robustbench_zs.reporting.cells import csv_ready, moduli_text, spread, verdict
from robustbench_zs.reporting.html import write_page
from robustbench_zs.reporting.page import Section, Table
from robustbench_zs.reporting.plain import beside_paper, plain_page, versions
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.schemes.table import roots_table
from robustbench_zs.studies.measurement import Measurement
from robustbench_zs.studies.study import Study
from robustbench_zs.system.files import canonical_json, write_atomically
from robustbench_zs.training.execution import Compute

PASSES = "passes.csv"
TOLERANCES = {"parameters": 0.015, "roots": 0.005, "runtime": None}
"""Differences to the paper's numbers that count as agreement, in millions of parameters and in moduli."""


def run_measurement(
    study: Study,
    asked: Measurement,
    folder: Path,
    compute: Compute | None,
) -> pd.DataFrame:
    """Measure, write the report into `folder` and return its table.

    Run times are measured once for a folder and kept there; removing `passes.csv` has them measured again.

    Args:
        asked: what to measure of the study's networks.
        compute: where run times are measured; without it they must be there.

    Raises:
        RequestError: run times are not there and may not be measured.
    """
    if asked.measure == "parameters":
        frame, numbers, sections, made = _parameters(study, asked)
    elif asked.measure == "roots":
        frame, numbers, sections, made = _roots(study)
    else:
        passes, made = _passes(study, asked, folder, compute)
        frame, numbers, sections = _runtime(study, asked, passes)
    csv: dict[str, pd.DataFrame] = {asked.measure: frame}
    answer = f"{len(frame)} rows, shown below."
    if study.paper:
        beside = against_paper(study.paper, numbers, study.paper_networks(), TOLERANCES[asked.measure])
        answer, section = beside_paper(beside, study.paper, study.scaled, "")
        sections.append(section)
        csv["against_paper"] = beside
    write_page(folder, plain_page(study, answer, sections, made), {name: csv_ready(table) for name, table in csv.items()})
    return frame


def _numbers(rows: list[tuple[str, str, float, float]], dataset: str = "cifar10") -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["network", "outcome", "mean", "std"]).assign(dataset=dataset)


Made = tuple[pd.DataFrame, pd.DataFrame, list[Section], list[str]]


def _parameters(study: Study, asked: Measurement) -> Made:
    frame = networks_table(study.specs(), size=asked.image_size)
    shown = pd.DataFrame(
        {
            "Network": frame["network"],
            "Parameters": [f"{n:,}" for n in frame["parameters"]],
            "Multiply-adds": [f"{n:,}" for n in frame["multiply_adds"]],
        }
    )
    rows = [(r["network"], "parameters (millions)", r["parameters"] / 1e6, float("nan")) for _, r in frame.iterrows()]
    words = f"For three channels, ten classes and {asked.image_size}×{asked.image_size} pixels; multiply-adds for one image."
    return frame, _numbers(rows), [Section("Parameters", words, [Table("parameters", shown)])], ["Counted, not measured."]


def _roots(study: Study) -> Made:
    specs = [spec for spec in study.specs() if isinstance(spec.scheme, MultistepScheme)]
    schemes = [spec.fixed_scheme for spec in specs if spec.fixed_scheme]
    frame = roots_table(schemes)
    shown = pd.DataFrame(
        {
            "Scheme": frame["scheme"],
            "α": [", ".join(a) for a in frame["alphas"]],
            "β": frame["beta"],
            "Moduli of roots": [moduli_text(m) for m in frame["moduli"]],
            "Zero-stable": [verdict(v) for v in frame["zero_stable"]],
        }
    )
    rows = []
    for spec, (_, row) in zip(specs, frame.iterrows(), strict=True):
        rows += [(spec.name, f"modulus {i}", m, float("nan")) for i, m in enumerate(row["moduli"], 1)]
        rows.append((spec.name, "zero-stable", float(row["zero_stable"]), float("nan")))
    words = "Moduli in descending order; zero-stable: all roots in the unit disc, those on the circle simple."
    made = ["The verdict is exact, in rational arithmetic; roots are those of numpy."]
    return frame, _numbers(rows, "-"), [Section("Roots", words, [Table("roots", shown)])], made


def _passes(study: Study, asked: Measurement, folder: Path, compute: Compute | None) -> tuple[pd.DataFrame, list[str]]:
    """Measured passes, from the folder if they are there, and how they were made."""
    path = folder / PASSES
    settings = canonical_json(
        {
            "networks": [spec.name for spec in study.specs()],
            "batch_sizes": asked.batch_sizes,
            "image_size": asked.image_size,
            "images": asked.images,
            "repeats": asked.repeats,
        }
    )
    if path.is_file():
        try:
            found = pd.read_csv(path)
            if set(found["settings"]) == {settings}:
                return found, [str(found["made"].iloc[0]), f"Measured once; remove `{PASSES}` to measure again."]
        except (ValueError, KeyError, OSError):
            pass  # not a table of passes: measured again
    if compute is None:
        raise RequestError(f"the run times of {study.name!r} are not in {path}: run `zsbench run {study.request}` first")
    execution = compute.execution(1)
    passes = measure_runtime(
        study.specs(),
        asked.batch_sizes,
        execution,
        image_size=asked.image_size,
        images=asked.images,
        repeats=asked.repeats,
    )
    how = ", ".join(f"{name} {value}" for name, value in asdict(execution).items())
    made = f"{how}; {versions()}"
    kept = passes.assign(settings=settings, made=made)
    write_atomically(path, kept.to_csv(index=False))
    return kept, [made, f"Measured once; remove `{PASSES}` to measure again."]


def _runtime(study: Study, asked: Measurement, passes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, list[Section]]:
    frame = runtime_summary(passes, asked.epochs, asked.train_images, asked.test_images)
    paper = {}
    if study.paper:
        cells = {(c["scheme"], c["outcome"]): c["mean"] for c in paper_results(study.paper).to_dict("records")}
        stands_for = {name: scheme for name, (scheme, _) in study.paper_networks().items()}
        first = stands_for[str(frame["network"].iloc[0])]
        paper = {
            (name, outcome): cells[scheme, outcome] / cells[first, outcome]
            for name, scheme in stands_for.items()
            for (other, outcome) in cells
            if other == scheme and (first, outcome) in cells
        }
    rows, shown = [], []
    for row in frame.to_dict("records"):
        outcome = f"{row['phase']}, batch {row['batch_size']}"
        rows.append((row["network"], outcome, row["seconds"], row["seconds_std"]))
        shown.append(
            {
                "Network": row["network"],
                "Phase": row["phase"],
                "Batch": row["batch_size"],
                "Seconds": spread(row["seconds"], row["seconds_std"]),
                "Ratio": f"{row['ratio']:.3f} [{row['ratio_low']:.3f}, {row['ratio_high']:.3f}]",
                "Paper's ratio": f"{paper[row['network'], outcome]:.3f}" if (row["network"], outcome) in paper else "–",
            }
        )
    words = (
        f"Seconds for {asked.epochs} passes over {asked.train_images:,} training or {asked.test_images:,} test images of "
        f"{asked.image_size}×{asked.image_size} pixels, scaled up from {asked.repeats} timed passes over {asked.images:,} "
        "images (median ± standard deviation). Networks take turns; the ratio is that to the first network in the same "
        "turn, with the least and the greatest."
    )
    return frame, _numbers(rows), [Section("Run time", words, [Table("run_time", pd.DataFrame(shown))])]
