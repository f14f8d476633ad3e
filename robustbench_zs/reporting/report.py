"""A study's report: Markdown, CSV of every table, figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

from robustbench_zs.analysis import (
    comparison_sentences,
    degradation_by_verdict,
    effect_sizes,
    modulus_correlations,
    network_outcomes,
    predictor_comparison,
)
from robustbench_zs.analysis.against_paper import accuracy_cells, against_paper
from robustbench_zs.analysis.masking import flagged_networks, masking_sentences
from robustbench_zs.analysis.summary import CLEAN, perturbed
from robustbench_zs.files import write_atomically
from robustbench_zs.reporting import tables
from robustbench_zs.schemes import TrainableScheme
from robustbench_zs.schemes.coefficients import LARGEST
from robustbench_zs.training.checkpoint import Header, network_spec


@dataclass(frozen=True)
class StudyFacts:
    """What a report says about a study besides its results; one header a network, `again` is what `zsbench run` takes."""

    name: str
    title: str
    recipe: dict[str, Any]
    headers: Sequence[Header]
    engine: str
    again: str
    note: str = ""
    scaled: str = ""
    paper: str | None = None
    paper_networks: Mapping[str, tuple[str, int]] = field(default_factory=dict)


PICTURES = ("accuracy", "degradation", "roots")


def write_report(
    folder: Path,
    facts: StudyFacts,
    results: pd.DataFrame,
    gaps: pd.DataFrame,
    masking: pd.DataFrame,
    redraw: bool = True,
) -> None:
    """Write `report.md`, one CSV a table and the figures into `folder`.

    Args:
        results: one row a network and perturbation, clean included, see `evaluation.result_row`.
        gaps: one row a network, see `evaluation.gap_row`.
        masking: one row a probed network and check, see `analysis.masking.masking_rows`.
        redraw: draw the figures even if those in the folder show the same results; drawing takes seconds.

    Raises:
        UnfinishedError: the folder cannot be written.
    """
    changed = perturbed(results)
    clean = results[results["perturbation"] == CLEAN]
    degradation = degradation_by_verdict(changed) if len(changed) else pd.DataFrame()
    correlations = pd.concat(
        [
            modulus_correlations(clean, "accuracy").assign(outcome="clean accuracy"),
            modulus_correlations(gaps, "gap").assign(outcome="generalization gap"),
            *(
                [modulus_correlations(changed, "drop").assign(outcome=lambda f: "drop, " + f["perturbation"])]
                if len(changed)
                else []
            ),
        ],
        ignore_index=True,
    )
    outcomes = network_outcomes(results, gaps)
    conclusions = {"predictors": predictor_comparison(outcomes), "effects": effect_sizes(outcomes)}
    flagged = flagged_networks(masking)
    layouts = {
        "table6": tables.table_6(results, flagged),
        "table7": tables.table_7(gaps),
        "every_network": tables.every_network(results, flagged),
    }
    csv = {
        "results": csv_ready(results),
        "gaps": csv_ready(gaps),
        "degradation": degradation,
        "correlations": correlations.drop(columns="perturbation"),
        **conclusions,
        **layouts,
        **({"masking": masking} if len(masking) else {}),
    }
    if facts.paper:
        csv["against_paper"] = against_paper(facts.paper, accuracy_cells(results, gaps), facts.paper_networks)
    finished = folder / "report.md"  # written last, so where it stands the figures are those of results.csv
    if redraw or not _drawn(folder, csv["results"].to_csv(index=False)):
        finished.unlink(missing_ok=True)
        _draw(folder, results)
    for name, frame in csv.items():
        if len(frame.columns):
            write_atomically(folder / f"{name}.csv", frame.to_csv(index=False))
    text = _render(facts, results, degradation, correlations, conclusions, layouts, masking, csv.get("against_paper"))
    for name in PICTURES:
        if not (folder / f"{name}.png").exists():  # no picture, no link to one
            text = "\n".join(line for line in text.splitlines() if not line.endswith(f"({name}.png)")) + "\n"
    write_atomically(finished, text)


def _drawn(folder: Path, results: str) -> bool:
    """Whether the report in the folder is one of these results and all its figures are there."""
    report, table = folder / "report.md", folder / "results.csv"
    if not (report.is_file() and table.is_file() and table.read_bytes() == results.encode()):
        return False
    linked = re.findall(r"\((\w+\.png)\)", report.read_text(encoding="utf-8", errors="replace"))
    return all((folder / name).is_file() for name in linked)


def _draw(folder: Path, results: pd.DataFrame) -> None:
    from robustbench_zs.reporting import figures

    drawings = (
        figures.accuracy_against_level(results),
        figures.degradation_against_modulus(results),
        figures.accuracy_by_roots(results),
    )
    for name, figure in zip(PICTURES, drawings, strict=True):
        path = folder / f"{name}.png"
        if figure is None:
            path.unlink(missing_ok=True)
        else:
            write_atomically(path, figures.png(figure))


def csv_ready(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with lists as text."""
    lists = [c for c in ("moduli", "block_moduli") if c in frame]
    return frame.assign(**{c: pd.Series([tables.flat_cell(c, v) for v in frame[c]], frame.index, object) for c in lists})


def summary_sentences(degradation: pd.DataFrame, correlations: pd.DataFrame) -> list[str]:
    """The findings in plain words, one a perturbation, and only as far as the intervals carry."""
    by_outcome = {str(row["outcome"]): row for _, row in correlations.iterrows()}
    sentences = []
    for outcome in ("clean accuracy", "generalization gap"):
        sentences.append(f"Largest root modulus and {outcome}: {_correlation_text(by_outcome[outcome])}.")
    for _, row in degradation.iterrows():
        sides = [
            f"{name} networks lose {row[column]:.1f} points"
            for name, column in (("non-zero-stable", "non_zero_stable"), ("zero-stable", "zero_stable"))
            if row[column] is not None and not pd.isna(row[column])
        ]
        found = _correlation_text(by_outcome[f"drop, {row['perturbation']}"])
        sentences.append(f"Under `{row['perturbation']}` {', '.join(sides)}; largest root modulus and drop: {found}.")
    return sentences


def _correlation_text(row: pd.Series) -> str:
    if pd.isna(row["rho"]):
        return str(row["finding"])
    bounds = tables.interval(row["ci_low"], row["ci_high"], 2)
    return f"ρ = {row['rho']:.2f} {bounds} over {row['networks']} networks, {row['finding']}"


def _render(
    facts: StudyFacts,
    results: pd.DataFrame,
    degradation: pd.DataFrame,
    correlations: pd.DataFrame,
    conclusions: dict[str, pd.DataFrame],
    layouts: dict[str, pd.DataFrame],
    masking: pd.DataFrame,
    beside_paper: pd.DataFrame | None,
) -> str:
    template = resources.files("robustbench_zs.reporting").joinpath("report.md.j2").read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=False, autoescape=False)
    headers = facts.headers
    depths = sorted({h.network.depth for h in headers})
    first = headers[0]
    return environment.from_string(template).render(
        facts=facts,
        networks=len(headers),
        schemes=len({network_spec(h.network).scheme for h in headers}),
        depths=f"{depths[0]} layers" if len(depths) == 1 else f"{len(depths)} depths",
        seeds=len({h.seed for h in headers}),
        dataset=first.dataset.name,
        train_examples=first.dataset.train_examples,
        test_examples=int(results["examples"].iloc[0]),
        sentences=summary_sentences(degradation, correlations),
        correlations=correlations,
        attacked=bool(results["engine"].notna().any()),
        masking=tables.markdown(tables.masking_table(masking)) if len(masking) else None,
        masking_sentences=masking_sentences(masking),
        flag=tables.FLAG,
        beside_paper=None if beside_paper is None else tables.markdown(tables.against_paper_table(beside_paper)),
        table_6=tables.markdown(layouts["table6"]),
        table_7=tables.markdown(layouts["table7"]),
        every_network=tables.markdown(layouts["every_network"]),
        degradation=tables.markdown(tables.degradation_table(degradation)) if len(degradation) else "No perturbation.",
        correlation=tables.markdown(tables.correlation_table(correlations)),
        predictor_sentences=comparison_sentences(conclusions["predictors"]),
        predictors=tables.markdown(tables.predictor_table(conclusions["predictors"])),
        best_predictors=tables.markdown(tables.best_predictor_table(conclusions["predictors"])),
        effects=tables.markdown(tables.effect_table(conclusions["effects"])),
        trained_coefficients=[sentence for h in headers if (sentence := _trained_coefficients(h))],
        diverged=[
            f"`{h.network.name}`, seed {h.seed}: the loss was not finite in epoch {h.diverged_at}; "
            "it was evaluated as it is."
            for h in headers
            if h.diverged_at is not None
        ],
        recipe=", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.recipe.items()),
        training_time=_duration(sum(h.seconds for h in headers)),
        execution=_most_common([f"{h.execution['device']}, {h.execution['threads']} thread(s) a network" for h in headers]),
        versions=_most_common([", ".join(f"{k} {v}" for k, v in h.environment.items() if v is not None) for h in headers]),
        train_digest=first.dataset.train_digest,
    )


def _trained_coefficients(header: Header) -> str | None:
    """Where the trainable parameters of a network ended; None without any."""
    scheme = network_spec(header.network).scheme
    parameters = header.history[-1].block_parameters
    if not isinstance(scheme, TrainableScheme) or not parameters:
        return None
    known = [p for p in parameters if p is not None]
    stable = sum(scheme.at(p).zero_stable for p in known if abs(p) <= LARGEST)
    letter = "λ" if scheme.name == "zerosnet-tra" else "k"
    reach = f"from {min(known):.3f} to {max(known):.3f}" if known else "not finite"
    return (
        f"`{header.network.name}`, seed {header.seed}: {stable} of {len(parameters)} blocks end inside the zero-stable "
        f"region; {letter} {reach}."
    )


def _most_common(texts: Sequence[str]) -> str:
    """The text, with a word where not all networks have the same."""
    (text, count), *rest = Counter(texts).most_common()
    return text if not rest else f"{text} ({count} of {len(texts)} networks; the others differ)"


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
    )
