"""The section of a study's report about its controls: some of its networks by other recipes."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from robustbench_zs.analysis.labels import network_labels, perturbation_labels
from robustbench_zs.reporting import cells
from robustbench_zs.reporting.findings import Control, Findings
from robustbench_zs.reporting.page import Section, Table
from robustbench_zs.reporting.plain import bullets, in_a_row


def control_rows(study: Findings) -> pd.DataFrame:
    """The networks of the controls by every recipe: the columns `network`, `zero_stable`, `study`, `recipe`, `networks` (how
    many seeds), `train_accuracy`, `clean_accuracy`, `gap`, and the accuracy under each perturbation that all controls have;
    means over seeds, in percent and points."""
    own = Control(study.facts.name, {}, study.results, study.gaps)
    sources = [own, *study.controls]
    asked = set.union(*(set(control.gaps["network"]) for control in study.controls))
    common = set.intersection(*(set(source.results["perturbation"]) for source in sources))
    shown = [p for p in dict.fromkeys(study.results["perturbation"]) if p in common and p != "clean"]
    rows = []
    for network in dict.fromkeys(network for source in sources for network in source.gaps["network"] if network in asked):
        for source in sources:
            gaps = source.gaps[source.gaps["network"] == network]
            if gaps.empty:
                continue
            accuracies = source.results[source.results["network"] == network].groupby("perturbation")["accuracy"].mean()
            rows.append(
                {
                    "network": network,
                    "zero_stable": gaps["zero_stable"].iloc[0],
                    "study": source.name,
                    "recipe": source.recipe,
                    "networks": len(gaps),
                    "train_accuracy": gaps["train_accuracy"].mean(),
                    "clean_accuracy": gaps["test_accuracy"].mean(),
                    "gap": gaps["gap"].mean(),
                    **accuracies[shown].to_dict(),
                }
            )
    return pd.DataFrame(rows)


def controls(study: Findings) -> Section | None:
    """Whether the recipe explains what the schemes are said to do."""
    if not study.controls:
        return None
    rows = control_rows(study)
    names = network_labels(dict.fromkeys(rows["network"]))
    perturbations = [str(c) for c in rows if c not in ("network", "zero_stable", "study", "recipe", "networks", *_HEADS)]
    short = perturbation_labels(perturbations)
    numbers = {head: rows[column] for column, head in _HEADS.items()} | {short[p]: rows[p] for p in perturbations}
    table = pd.DataFrame(
        {
            "Network": rows["network"].map(names),
            "Zero-stable": rows["zero_stable"].map(cells.verdict),
            "Recipe": rows["recipe"],
            **{head: [cells.estimate(value, None, None, 1) for value in column] for head, column in numbers.items()},
        }
    )
    by = in_a_row([f"`{control.name}`" for control in study.controls])
    return Section(
        "Other recipes",
        f"Do the differences between schemes come from a recipe that suits some of them better? {by} trained some of the "
        "networks by other recipes.",
        [
            bullets([_which(rows, names, len(study.networks)), *_sentences(rows)]),
            Table(
                "controls",
                table,
                "Accuracies in percent, gaps in points; networks of the study and the same with another recipe.",
                {short[p]: p for p in perturbations},
            ),
        ],
    )


_HEADS = {"train_accuracy": "Training", "clean_accuracy": "Clean", "gap": "Gap"}


def _sentences(rows: pd.DataFrame) -> list[str]:
    """For each recipe, and for each network's best one, how far apart networks of the two verdicts are."""
    sentences = [
        f"Recipe {recipe}: {_apart(part)}"
        for recipe, part in rows.groupby("recipe", sort=False)
        if part["zero_stable"].nunique() == 2
    ]
    best = rows.loc[rows.groupby("network")["clean_accuracy"].idxmax()]
    if best["zero_stable"].nunique() == 2:
        sentences.append(f"Each network by the recipe that suits it best: {_apart(best)}")
    return sentences


def _which(rows: pd.DataFrame, names: Mapping[str, str], of: int) -> str:
    """Which networks were trained again, and that nothing follows for the others."""
    sides = {
        stable: [f"`{names[n]}`" for n in dict.fromkeys(part["network"])] for stable, part in rows.groupby("zero_stable")
    }
    listed = [
        f"{in_a_row(sides[stable])} ({words})"
        for stable, words in ((True, "zero-stable"), (False, "not zero-stable"))
        if stable in sides
    ]
    return (
        f"Trained again were {rows['network'].nunique()} of the {of} networks: {in_a_row(listed)}. With the others, no "
        "other recipe was tried."
    )


def _apart(rows: pd.DataFrame) -> str:
    clean = rows.groupby(rows["zero_stable"].astype(bool))["clean_accuracy"]
    low, high = clean.min()[True], clean.max()[False]
    words = f"{low - high:.1f} points above" if low > high else f"{high - low:.1f} points below"
    return (
        f"the least accurate of these zero-stable networks ({low:.1f}% clean) lies {words} the most accurate of those that "
        f"are not ({high:.1f}%)."
    )
