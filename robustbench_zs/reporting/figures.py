"""The figures of a report, by seaborn on figures of their own, so that a notebook's are left alone."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from robustbench_zs.analysis.network_outcomes import ROBUSTNESS, SMALLEST_EPS
from robustbench_zs.analysis.predictors import LARGEST_MODULUS
from robustbench_zs.analysis.summary import CLEAN, with_largest_modulus
from robustbench_zs.reporting.alternatives import class_name
from robustbench_zs.reporting.drawing import DENSE, panels, scatter
from robustbench_zs.reporting.names import name_points

MAX_OUTCOMES = 24
"""Panels of the outcomes of robustness."""

MAX_BANDS = 4
"""With more networks than this the bands of accuracies would hide each other."""

MAX_NAMES = 12
"""Up to so many networks are named in a figure; beyond, a colour bar says which line has which modulus."""

LINES = (
    "Each line is a network, darker for a larger root modulus (in the legend or on the colour bar) and dashed if its scheme "
    "is not zero-stable."
)
"""What `_Lines` draws, for captions."""

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


def outcome_against_predictor(
    points: pd.DataFrame, outcome: str, kind: str, predictor: str = LARGEST_MODULUS, name: str = "largest root modulus"
) -> Figure:
    """One outcome against a quantity of the scheme, a point per scheme with its 95% interval.

    There is no line through them: whether there is a relation is said by the test.

    Args:
        points: see `analysis.scheme_means.scheme_points`.
        predictor, name: the column of the quantity and what the axis calls it.
    """
    points = points.dropna(subset=[predictor, "value"])
    figure, (axis,) = panels(1, 1, 7.2, 3.6)
    dense = len(points) > DENSE
    axis.errorbar(
        points[predictor],
        points["value"],
        points["half_width"].fillna(0),
        fmt="none",
        ecolor="0.75",
        elinewidth=0.5 if dense else 1,
        zorder=2,
        rasterized=dense,
    )
    scatter(points, axis, legend=True, x=predictor)
    axis.set(xlabel=name, ylabel=outcome if kind == SMALLEST_EPS else f"{outcome}, %")
    if len(points) <= MAX_NAMES:
        name_points(figure, axis, list(points["network"]), list(zip(points[predictor], points["value"], strict=True)))
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
            level = float(match["level"]) / (255 if match["over"] else 1)
            parts.append(results[results["perturbation"] == label].assign(kind=match["kind"], level=level))
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
        axis.set(xlabel=_AXIS[str(kind)], ylabel="accuracy, %" if axis is axes[0] else "")
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
        few = slice(None, None, 1 if lines.named else 4)  # many lines at full length would make the page heavy
        eps = np.array(group["eps"].iloc[0])[few]
        lines.draw(axes[0], network, eps, accuracy.mean(0)[few], accuracy.min(0)[few], accuracy.max(0)[few])
    norm = {"linf": "L∞", "l2": "L2"}[str(curves["norm"].iloc[0])]
    axes[0].set(xlabel=f"ε ({norm})", ylabel="robust accuracy, % (upper bound)", ylim=(0, None), xlim=(0, None))
    lines.explain(figure, axes)
    return figure


class _Lines:
    """One line per network, darker for a larger modulus, dashed if it is not zero-stable.

    A legend names up to `MAX_NAMES` networks with their moduli; beyond, a colour bar gives their moduli.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        networks = with_largest_modulus(frame).drop_duplicates("network").sort_values(LARGEST_MODULUS, kind="stable")
        self.networks = networks.set_index("network")
        self.order = list(networks["network"])
        moduli = self.networks[LARGEST_MODULUS]
        self.colours = ScalarMappable(Normalize(moduli.min(), max(moduli.max(), moduli.min() + 0.1)), "viridis_r")
        ranks = sns.color_palette("viridis_r", len(self.order))
        self.named = len(self.order) <= MAX_NAMES
        self.colour = dict(
            zip(self.order, ranks if self.named else self.colours.to_rgba(moduli.fillna(1).to_numpy()), strict=True)
        )

    def draw(self, axis: Axes, network: str, x: Any, y: Any, low: Any, high: Any) -> None:
        row = self.networks.loc[network]
        modulus = f" ({row[LARGEST_MODULUS]:.2f})" if pd.notna(row[LARGEST_MODULUS]) else ""
        style = "--" if row["zero_stable"] is False else "-"
        axis.plot(
            x,
            y,
            style,
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
        elif self.networks[LARGEST_MODULUS].notna().any():
            figure.colorbar(self.colours, ax=axes, label="largest root modulus")


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
