"""The section of a report that says how its numbers were made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from robustbench_zs.analysis.summary import CLEAN
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.page import Section, Table
from robustbench_zs.reporting.plain import again, bullets, count, made_with


def made(study: Findings) -> Section:
    """Recipe, versions, hardware, and what to type to get the numbers again."""
    facts, headers = study.facts, study.facts.headers
    recipe = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.recipe.items())
    trained, evaluated = (
        _each([made_with(h.environment) for h in headers], "networks"),
        _each([made_with(e) for e in study.results["environment"]], "results"),
    )
    execution = _most_common(
        [f"{h.execution['device']}, {count(int(h.execution['threads']), 'thread')} per network" for h in headers]
    )
    best = (
        " Weights are those of the epoch with the best test accuracy, as the paper's published code reports it. They are "
        "chosen on the test set, so these accuracies are too high."
    )
    lines = [
        f"Recipe: {recipe}.{best if facts.recipe['weights'] == 'best' else ''}",
        f"Attack engine: {facts.engine}. Noise and random starts belong to the image and do not depend on the batch size.",
        f"Training took {_duration(sum(h.seconds for h in headers))} in all, summed over networks ({execution}).",
        f"Trained with {trained}.",
        f"Evaluated with {'the same' if evaluated == trained else evaluated}.",
        f"Data: training images sha256 `{headers[0].dataset.train_digest}`. Every row of `results.csv` and `gaps.csv` has "
        "the digest of its weights.",
        again(facts.again),
    ]
    requests = Table("commands", _requests_table(study), "Commands for one number; CHECKPOINT is a file in `results.csv`.")
    return Section(
        "How it was made",
        "Everything needed to get the same numbers again.",
        [bullets(lines), *([requests] if any(facts.requests.values()) else [])],
    )


def _requests_table(study: Findings) -> pd.DataFrame:
    """What to type for the accuracies under each perturbation."""
    n = int(study.results["examples"].iloc[0])
    commands = {CLEAN: "evaluate", **{label: request for label, request in study.facts.requests.items() if request}}
    return pd.DataFrame(
        {
            "Here": [study.perturbations.get(label, label) for label in commands],
            "Perturbation": list(commands),
            "Command": [f"`zsbench {request} --examples {n} CHECKPOINT`" for request in commands.values()],
        }
    )


def _most_common(texts: Sequence[str]) -> str:
    """The text, with a word where not all networks have the same."""
    (text, count), *rest = Counter(texts).most_common()
    return text if not rest else f"{text} ({count} of {len(texts)} networks; the others differ)"


def _each(texts: Sequence[str], what: str) -> str:
    """Every text that occurs, with how often where there are several."""
    counts = Counter(texts).most_common()
    return "; ".join(text if len(counts) == 1 else f"{text} ({count} {what})" for text, count in counts)


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
    )
