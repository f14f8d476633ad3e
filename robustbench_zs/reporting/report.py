"""A study's report: Markdown and a page, CSV and LaTeX of its tables, figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from jinja2 import Environment, StrictUndefined

from robustbench_zs.analysis import Conclusions, ImageOutcomes, conclude, network_outcomes
from robustbench_zs.analysis.against_paper import accuracy_cells, against_paper
from robustbench_zs.analysis.degradation import losses_by_verdict
from robustbench_zs.analysis.masking import flagged_networks, masking_sentences
from robustbench_zs.analysis.summary import CLEAN, perturbed
from robustbench_zs.analysis.transfer import transfer_by_verdict, transfer_matrix, transfer_sentence
from robustbench_zs.analysis.words import summary_sentences, together_sentence
from robustbench_zs.reporting import tables
from robustbench_zs.reporting.html import write_html
from robustbench_zs.reporting.latex import latex_table
from robustbench_zs.reporting.siblings import shared_networks
from robustbench_zs.schemes import MultistepScheme, TrainableScheme
from robustbench_zs.schemes.coefficients import LARGEST
from robustbench_zs.system.environment import environment
from robustbench_zs.system.files import write_atomically
from robustbench_zs.training.checkpoint import Header, network_spec


@dataclass(frozen=True)
class StudyFacts:
    """What a report says about a study besides its results.

    One header a network; `again` is what `zsbench run` takes, `requests` what `zsbench` takes for each perturbation.
    """

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
    requests: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def schemes(self) -> dict[str, MultistepScheme]:
        """The fixed schemes of its networks by name, at most so many as can be drawn."""
        specs = [network_spec(h.network) for h in self.headers]
        found = {str(s.scheme_name or s.name): s.scheme for s in specs if isinstance(s.scheme, MultistepScheme)}
        return dict(list(found.items())[:MOST_PANELS])


MOST_PANELS = 30
"""Of roots in the complex plane, a panel a scheme."""

PICTURES = ("accuracy", "degradation", "roots", "plane", "curves", "examples")


def write_report(
    folder: Path,
    facts: StudyFacts,
    results: pd.DataFrame,
    gaps: pd.DataFrame,
    masking: pd.DataFrame,
    redraw: bool = True,
    transfers: pd.DataFrame | None = None,
    curves: pd.DataFrame | None = None,
    images: ImageOutcomes | None = None,
) -> None:
    """Write `report.md`, one CSV a table and the figures into `folder`.

    Args:
        results: one row a network and perturbation, clean included, see `evaluation.result_row`.
        gaps: one row a network, see `evaluation.gap_row`.
        masking: one row a probed network and check, see `analysis.masking.masking_rows`.
        redraw: draw the figures even if those in the folder show the same results; drawing takes seconds.
        transfers: one row a network that was attacked and one that saw the examples, see `evaluation.transfer_rows`.
        curves: one row a network with its robust accuracy against ε, see `evaluation.curve_row`.
        images: the same networks image by image, on which conclusions rest.

    Raises:
        UnfinishedError: the folder cannot be written.
    """
    outcomes = network_outcomes(results, gaps, images)
    conclusions = conclude(outcomes)
    losses = losses_by_verdict(outcomes)
    flagged = flagged_networks(masking)
    layouts = {
        "table6": tables.table_6(results, flagged),
        "table7": tables.table_7(gaps),
        "every_network": tables.every_network(results, flagged),
    }
    csv = {
        "results": csv_ready(results),
        "gaps": csv_ready(gaps),
        "outcomes": csv_ready(outcomes),
        "degradation": losses,
        "correlations": conclusions.modulus,
        "predictors": conclusions.predictors,
        "best_predictors": conclusions.best,
        "effects": conclusions.effects,
        **layouts,
        **({"masking": masking} if len(masking) else {}),
    }
    if transfers is not None and len(transfers):
        csv["transfer"] = csv_ready(transfers)
        csv["transfer_by_verdict"] = transfer_by_verdict(transfers)
        layouts["transfer_matrix"] = csv["transfer_matrix"] = tables.transfer_matrix_table(transfer_matrix(transfers))
    if curves is not None and len(curves):
        csv["curves"] = csv_ready(curves)
        layouts["smallest_eps"] = tables.smallest_eps_table(curves)
    if facts.paper:
        csv["against_paper"] = against_paper(facts.paper, accuracy_cells(results, gaps), facts.paper_networks)
    shown = {
        **layouts,
        "degradation": tables.degradation_table(losses) if len(losses) else losses,
        "correlations": tables.correlation_table(conclusions.modulus),
        "best_predictors": tables.best_predictor_table(conclusions.best),
        "predictors": tables.predictor_table(conclusions),
        "effects": tables.effect_table(conclusions.effects),
        **({"against_paper": tables.against_paper_table(csv["against_paper"])} if "against_paper" in csv else {}),
    }
    if "transfer_by_verdict" in csv:
        shown["transfer_by_verdict"] = tables.transfer_by_verdict_table(csv["transfer_by_verdict"])
    finished = folder / "report.md"  # written last, so where it stands the figures are those of results.csv
    if redraw or not _drawn(folder, csv["results"].to_csv(index=False)):
        finished.unlink(missing_ok=True)
        _draw(folder, results, outcomes, facts.schemes, curves)
    for name, frame in csv.items():
        if len(frame.columns):
            write_atomically(folder / f"{name}.csv", frame.to_csv(index=False))
    for name, frame in shown.items():
        if len(frame):
            write_atomically(folder / f"{name}.tex", latex_table(frame))
    examples = examples_of(folder, set(results["digest"]))
    transferred = transfer_sentence(csv["transfer_by_verdict"]) if "transfer_by_verdict" in csv else None
    sentences = [
        *shared_networks(folder, set(results["digest"])),
        *summary_sentences(conclusions),
        *([transferred] if transferred else []),
    ]
    text = _render(facts, results, outcomes, conclusions, sentences, shown, masking, examples, curves)
    for name in PICTURES:
        if not (folder / f"{name}.png").exists():  # no picture, no link to one
            text = "\n".join(line for line in text.splitlines() if not line.endswith(f"({name}.png)")) + "\n"
    write_atomically(finished, text)
    write_html(folder)


def write_examples(folder: Path, examples: pd.DataFrame, pixels: npt.NDArray[np.float32]) -> None:
    """Write the picture of example images, and `examples.csv`, which says what it shows; see `studies.make_examples`."""
    from robustbench_zs.reporting import figures

    write_atomically(folder / "examples.png", figures.png(figures.example_images(examples, pixels)))
    write_atomically(folder / "examples.csv", examples.to_csv(index=False))


def examples_of(folder: Path, digests: set[str]) -> pd.DataFrame | None:
    """What the picture of example images in the folder shows, if it is there and of these networks."""
    table = folder / "examples.csv"
    if not (table.is_file() and (folder / "examples.png").is_file()):
        return None
    try:
        examples = pd.read_csv(table, dtype={"predicted": "Int64"})
        return examples if set(examples["digest"]) <= digests else None
    except (ValueError, KeyError):
        return None


def _drawn(folder: Path, results: str) -> bool:
    """Whether the report in the folder is one of these results and all its figures are there."""
    report, table = folder / "report.md", folder / "results.csv"
    if not (report.is_file() and table.is_file() and table.read_bytes() == results.encode()):
        return False
    linked = re.findall(r"\((\w+\.png)\)", report.read_text(encoding="utf-8", errors="replace"))
    return all((folder / name).is_file() for name in linked)


def _draw(
    folder: Path,
    results: pd.DataFrame,
    outcomes: pd.DataFrame,
    schemes: Mapping[str, MultistepScheme],
    curves: pd.DataFrame | None,
) -> None:
    from robustbench_zs.reporting import figures

    drawings = (
        figures.accuracy_against_level(results),
        figures.robustness_against_modulus(outcomes),
        figures.accuracy_by_roots(results),
        figures.roots_in_the_plane(schemes, _beside_schemes(results)) if schemes else None,
        figures.robustness_curves(curves) if curves is not None and len(curves) else None,
    )
    for name, figure in zip(PICTURES, drawings, strict=False):
        path = folder / f"{name}.png"
        if figure is None:
            path.unlink(missing_ok=True)
        else:
            write_atomically(path, figures.png(figure))


def _beside_schemes(results: pd.DataFrame) -> dict[str, str]:
    """A line of results by scheme: its clean accuracy, and that under the perturbation which costs most over all."""
    drops = perturbed(results).groupby("perturbation", sort=False)["drop"].mean()
    labels = [CLEAN, *([str(drops.idxmax())] if drops.notna().any() else [])]
    means = results.groupby(["scheme", "perturbation"])["accuracy"].mean()
    names = results["scheme"].dropna().unique()
    return {str(name): "\n".join(f"{label} {means[name, label]:.1f}%" for label in labels) for name in names}


def csv_ready(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with lists and tables as text."""
    columns = [str(c) for c in frame if any(isinstance(v, (list, dict)) for v in frame[c])]
    return frame.assign(**{c: pd.Series([tables.flat_cell(c, v) for v in frame[c]], frame.index, object) for c in columns})


def _render(
    facts: StudyFacts,
    results: pd.DataFrame,
    outcomes: pd.DataFrame,
    conclusions: Conclusions,
    sentences: Sequence[str],
    shown: dict[str, pd.DataFrame],
    masking: pd.DataFrame,
    examples: pd.DataFrame | None,
    curves: pd.DataFrame | None,
) -> str:
    template = resources.files("robustbench_zs.reporting").joinpath("report.md.j2").read_text(encoding="utf-8")
    templates = Environment(undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=False, autoescape=False)
    headers = facts.headers
    depths = sorted({h.network.depth for h in headers})
    first = headers[0]
    return templates.from_string(template).render(
        facts=facts,
        networks=len(headers),
        schemes=len({network_spec(h.network).scheme for h in headers}),
        depths=f"{depths[0]} layers" if len(depths) == 1 else f"{len(depths)} depths",
        seeds=len({h.seed for h in headers}),
        dataset=first.dataset.name,
        train_examples=first.dataset.train_examples,
        test_examples=int(results["examples"].iloc[0]),
        sentences=sentences,
        together=together_sentence(conclusions),
        searched=curves is not None and len(curves) > 0,
        attacked=bool(results["engine"].notna().any()),
        masking=tables.markdown(tables.masking_table(masking)) if len(masking) else None,
        masking_sentences=masking_sentences(masking),
        flag=tables.FLAG,
        shown={name: tables.markdown(table) if len(table) else "No perturbation." for name, table in shown.items()},
        alternatives=_alternatives(results, outcomes, facts.schemes, examples, curves),
        requests=tables.markdown(_requests_table(facts.requests, results)) if any(facts.requests.values()) else None,
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
        trained_with=_each([_words(h.environment) for h in headers], "networks"),
        evaluated_with=_each([_words(made_with) for made_with in results["environment"]], "results"),
        train_digest=first.dataset.train_digest,
    )


def _alternatives(
    results: pd.DataFrame,
    outcomes: pd.DataFrame,
    schemes: Mapping[str, MultistepScheme],
    examples: pd.DataFrame | None,
    curves: pd.DataFrame | None,
) -> dict[str, str]:
    from robustbench_zs.reporting import alternatives

    texts = {
        "accuracy": alternatives.accuracy_text(results),
        "degradation": alternatives.robustness_text(outcomes),
        "roots": alternatives.roots_text(results),
        "plane": alternatives.plane_text(schemes, _beside_schemes(results)),
        "curves": "" if curves is None or curves.empty else alternatives.curves_text(curves),
        "examples": "" if examples is None else alternatives.examples_text(examples),
    }
    return {name: re.sub(r"[\[\]\\\n]", " ", text) for name, text in texts.items()}


def _requests_table(requests: Mapping[str, str | None], results: pd.DataFrame) -> pd.DataFrame:
    """What to type for the accuracies under each perturbation."""
    n = int(results["examples"].iloc[0])
    commands = {CLEAN: "evaluate", **{label: request for label, request in requests.items() if request}}
    return pd.DataFrame(
        {
            "Perturbation": list(commands),
            "Command": [f"`zsbench {request} --examples {n} CHECKPOINT`" for request in commands.values()],
        }
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


def _words(made_with: Mapping[str, Any]) -> str:
    order = dict.fromkeys([*environment(), *made_with])  # what comes from the store is in alphabetical order
    return ", ".join(f"{name} {made_with[name]}" for name in order if made_with.get(name) is not None)


def _each(texts: Sequence[str], what: str) -> str:
    """Every text that occurs, with how often where there are several."""
    counts = Counter(texts).most_common()
    return "; ".join(text if len(counts) == 1 else f"{text} ({count} {what})" for text, count in counts)


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
    )
