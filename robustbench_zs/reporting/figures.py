"""The figures of a report, by seaborn on figures of their own, so that a notebook's are left alone."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from robustbench_zs.analysis.network_outcomes import ROBUSTNESS, SMALLEST_EPS
from robustbench_zs.analysis.predictors import LARGEST_MODULUS
from robustbench_zs.analysis.summary import CLEAN, with_largest_modulus
from robustbench_zs.reporting.alternatives import class_name
from robustbench_zs.reporting.drawing import DENSE, VERDICT_COLOURS, panels, scatter, verdict_of
from robustbench_zs.reporting.names import name_points
from robustbench_zs.reporting.plain import NORMS

MAX_OUTCOMES = 24
"""Panels of the outcomes of robustness."""

MAX_POINTS = 4000
"""Points of all lines together."""

MAX_BANDS = 4
"""With more networks than this the bands of accuracies would hide each other."""

MAX_NAMES = 12
"""Up to so many networks are named in a figure; beyond, lines have the colour of their verdict."""


def lines_caption(networks: int) -> str:
    """What the lines of so many networks mean."""
    if networks <= MAX_NAMES:
        return (
            "Each line is a network, darker for a larger root modulus (in the legend) and dashed if its scheme is not "
            "zero-stable."
        )
    return "Each line is a network: blue if it is zero-stable, orange and dashed if it is not, grey if it has no verdict."


_LEVEL = re.compile(
    r"(?P<kind>gaussian|constant|fgsm|pgd|apgd(-t)?|fab|autoattack|square)\((?P<name>delta|mu|eps)=(?P<level>-?[0-9.e-]+)(?P<over>/255)?[,)]"
)
_AXIS = {
    "gaussian": "Gaussian noise, σ",
    "constant": "constant noise, μ",
    "fgsm": "FGSM, ε",
    "pgd": "PGD, ε",
    "apgd": "APGD, ε",
    "apgd-t": "APGD-T, ε",
    "fab": "FAB-T, ε",
    "autoattack": "AutoAttack, ε",
    "square": "Square, ε",
}


def _unit(kind: str) -> str:
    return kind if kind == SMALLEST_EPS else f"{kind}, %"


def outcome_against_modulus(points: pd.DataFrame, outcome: str, kind: str) -> Figure:
    """One outcome against the largest root modulus, a point per scheme with its 95% interval.

    There is no line through them: whether there is a relation is said by the test.

    Args:
        points: see `analysis.scheme_means.scheme_points`.
    """
    points = points.dropna(subset=[LARGEST_MODULUS, "value"])
    figure, (axis,) = panels(1, 1, 7.2, 3.6)
    dense = len(points) > DENSE
    axis.errorbar(
        points[LARGEST_MODULUS],
        points["value"],
        points["half_width"].fillna(0),
        fmt="none",
        ecolor="0.75",
        elinewidth=0.5 if dense else 1,
        zorder=2,
        rasterized=dense,
    )
    scatter(points, axis, legend=True)
    axis.set(xlabel="largest root modulus", ylabel=outcome if kind == SMALLEST_EPS else f"{outcome}, %")
    if len(points) <= MAX_NAMES:
        name_points(figure, axis, list(points["network"]), list(zip(points[LARGEST_MODULUS], points["value"], strict=True)))
    return figure


def robustness_against_modulus(outcomes: pd.DataFrame) -> Figure | None:
    """Robustness against the largest root modulus, a panel for each outcome, a point per network; None without points.

    Args:
        outcomes: see `analysis.network_outcomes`; only the first `MAX_OUTCOMES` of the family are drawn.
    """
    frame = with_largest_modulus(outcomes[outcomes["family"] == ROBUSTNESS]).dropna(subset=[LARGEST_MODULUS])
    labels = list(frame["outcome"].unique())[:MAX_OUTCOMES]
    if not labels:
        return None
    figure, axes = panels(len(labels), 3, 3.1, 2.5)
    for axis, label in zip(axes, labels, strict=True):
        kind, _, perturbation = label.partition(", ")
        scatter(frame[frame["outcome"] == label], axis, legend=axis is axes[0])
        axis.set(xlabel="largest root modulus", ylabel=_unit(kind))
        axis.set_title(perturbation or kind, fontsize=9)
    return figure


def accuracy_against_level(results: pd.DataFrame) -> Figure | None:
    """Accuracy against the noise level, a panel for each kind with two levels or more, a line per network; None without one.

    Level 0 is the clean accuracy; up to four networks have bands of one standard deviation over seeds.

    Args:
        results: with the full labels of perturbations.
    """
    parts = []
    clean = results[results["perturbation"] == CLEAN]
    for label in results["perturbation"].unique():
        match = _LEVEL.match(label)
        if match:
            kind = match["kind"] + (match["over"] or "")
            parts.append(results[results["perturbation"] == label].assign(kind=kind, level=float(match["level"])))
    kinds = [k for k, g in pd.concat(parts).groupby("kind", sort=False) if g["level"].nunique() > 1] if parts else []
    if not kinds:
        return None
    levels = pd.concat([*parts, *(clean.assign(kind=k, level=0.0) for k in kinds)])
    means = levels.groupby(["kind", "network", "level"])["accuracy"].agg(["mean", "std"]).fillna(0)
    figure, axes = panels(len(kinds), 3, 3.1 if len(kinds) > 1 else 6.8, 3.4)
    lines = _Lines(results)
    for axis, kind in zip(axes, kinds, strict=True):
        for network in lines.order:
            line = means.loc[kind, network]
            lines.draw(axis, network, line.index, line["mean"], line["mean"] - line["std"], line["mean"] + line["std"])
        name, slash, over = str(kind).partition("/")
        axis.set(xlabel=_AXIS[name] + (f" in 1/{over}" if slash else ""), ylabel="accuracy, %" if axis is axes[0] else "")
        axis.sharey(axes[0])
    lines.explain(figure, axes)
    return figure


def robustness_curves(curves: pd.DataFrame) -> Figure:
    """Robust accuracy against ε, a line per network, mean over its seeds; up to `MAX_BANDS` networks have the band between
    the lowest and the highest seed.

    Args:
        curves: rows of `evaluation.curve_row`.
    """
    figure, axes = panels(1, 1, 7.2, 3.8)
    lines = _Lines(curves)
    for network in lines.order:
        group = curves[curves["network"] == network]
        accuracy = np.array(group["robust_accuracy"].tolist())
        few = slice(None, None, max(1, accuracy.size * len(lines.order) // MAX_POINTS))  # many would make the page heavy
        eps = np.array(group["eps"].iloc[0])[few]
        lines.draw(axes[0], network, eps, accuracy.mean(0)[few], accuracy.min(0)[few], accuracy.max(0)[few])
    norm = NORMS[str(curves["norm"].iloc[0])]
    axes[0].set(xlabel=f"ε ({norm})", ylabel="robust accuracy, % (upper bound)", ylim=(0, None), xlim=(0, None))
    lines.explain(figure, axes)
    return figure


class _Lines:
    """One line per network, dashed if it is not zero-stable.

    A legend names up to `MAX_NAMES` networks with their moduli, darker for a larger one; beyond, it names the verdicts.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        networks = with_largest_modulus(frame).drop_duplicates("network").sort_values(LARGEST_MODULUS, kind="stable")
        self.networks = networks.set_index("network")
        self.order = list(networks["network"])
        self.named = len(self.order) <= MAX_NAMES
        self.verdict = dict(zip(self.order, verdict_of(networks), strict=True))
        ranks = sns.color_palette("viridis_r", len(self.order))
        colours = ranks if self.named else [VERDICT_COLOURS[v] for v in self.verdict.values()]
        self.colour = dict(zip(self.order, colours, strict=True))

    def draw(self, axis: Axes, network: str, x: Any, y: Any, low: Any, high: Any) -> None:
        row = self.networks.loc[network]
        modulus = f" ({row[LARGEST_MODULUS]:.2f})" if pd.notna(row[LARGEST_MODULUS]) else ""
        axis.plot(
            x,
            y,
            _style(self.verdict[network]),
            color=self.colour[network],
            label=f"{network}{modulus}",
            linewidth=1.5 if self.named else 0.7,
        )
        if len(self.order) <= MAX_BANDS:
            axis.fill_between(x, low, high, color=self.colour[network], alpha=0.15, linewidth=0)

    def explain(self, figure: Figure, axes: list[Axes]) -> None:
        if self.named:
            figure.legend(
                *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8
            )
            return
        shown = [verdict for verdict in VERDICT_COLOURS if verdict in self.verdict.values()]
        lines = [Line2D([], [], color=VERDICT_COLOURS[v], linestyle=_style(v)) for v in shown]
        figure.legend(lines, shown, loc="outside lower center", ncols=3, frameon=False, fontsize=8)


def _style(verdict: str) -> Literal["-", "--"]:
    return "--" if verdict == "not zero-stable" else "-"


def example_images(examples: pd.DataFrame, pixels: npt.NDArray[np.float32]) -> Figure:
    """Images, clean and perturbed, with what each network takes them for; a row per network and image.

    Args:
        examples: one row per picture with `network, image, dataset, label, perturbation, predicted`, in the order of
            `pixels`.
        pixels: N×C×H×W in [0, 1].
    """
    columns = list(dict.fromkeys(examples["perturbation"]))
    rows = len(examples) // len(columns)
    figure = Figure(figsize=(1.55 * len(columns) + 1.2, 1.75 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for axis, (_, row), picture in zip(axes.ravel(), examples.iterrows(), pixels, strict=True):
        axis.imshow(picture.transpose(1, 2, 0) if len(picture) == 3 else picture[0], cmap="gray", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
        right = pd.notna(row["predicted"]) and row["predicted"] == row["label"]
        axis.set_xlabel(
            class_name(row["dataset"], row["predicted"]), fontsize=9, color="black" if right else "#D55E00", labelpad=3
        )
        axis.xaxis.label.set_fontweight("normal" if right else "bold")
        axis.spines[:].set_visible(False)
    for axis, label in zip(axes[0], columns, strict=True):
        axis.set_title(label.replace(", ", ",\n"), fontsize=8)
    for axis, name in zip(axes[:, 0], examples["network"].iloc[:: len(columns)], strict=True):
        axis.set_ylabel(str(name)[:24], fontsize=8)
    return figure
