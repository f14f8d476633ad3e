"""Figures for hundreds of schemes: no legend of schemes, smooths with bands instead of names."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from scipy.stats import rankdata

from robustbench_zs.analysis.halves import AtlasHalf
from robustbench_zs.analysis.network_outcomes import CLEAN_ACCURACY, SHARE_LOST
from robustbench_zs.analysis.predictors import PREDICTORS
from robustbench_zs.analysis.resampling import Floats
from robustbench_zs.analysis.smooth import smooth
from robustbench_zs.reporting.drawing import VERDICT_COLOURS, verdict_of

COLOURS = {"discovery": "#777777", "confirmation": "#0072B2"}
"""Grey, and blue of Okabe and Ito: what is claimed stands out."""

TICKS = (0.02, 0.25, 0.5, 0.75, 0.98)


def against_predictors(
    halves: Sequence[AtlasHalf], outcomes: Sequence[str], predictors: Sequence[str], columns: int = 3
) -> Figure:
    """Outcomes against predictors, a point per scheme and for each half a smooth with its 95% band; a row per outcome.

    Predictors are drawn by rank, since they range over many orders of magnitude; ticks say their values.
    """
    panels = [(outcome, predictor) for outcome in outcomes for predictor in predictors]
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(3.6 * columns, 2.8 * -(-len(panels) // columns) + 0.3), layout="constrained")
        axes = figure.subplots(-(-len(panels) // columns), columns, squeeze=False).ravel()
    for axis, (outcome, predictor) in zip(axes, panels, strict=False):
        _against(axis, halves, outcome, predictor)
    for axis in axes[len(panels) :]:
        axis.remove()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    return figure


def _against(axis: Axes, halves: Sequence[AtlasHalf], outcome: str, predictor: str) -> None:
    drawn: list[Floats] = []
    for half in halves:
        x, y = half.against(predictor, outcome)
        if len(x) < 3:
            continue
        colour, ranks = COLOURS[half.name], (rankdata(x) - 0.5) / len(x)
        axis.plot(ranks, y, ".", color=colour, alpha=0.35, markersize=3, rasterized=True)
        line = smooth(x, y)
        axis.plot(line["rank"], line["mean"], color=colour, label=f"{half.name} ({len(x)} schemes)")
        axis.fill_between(line["rank"], line["low"], line["high"], color=colour, alpha=0.25, linewidth=0)
        drawn.append(x)
    if drawn:
        values = np.quantile(np.concatenate(drawn), TICKS, method="nearest")
        labels = [_tick(value) for value in values]
        axis.set_xticks(TICKS, [label if label not in labels[:place] else "" for place, label in enumerate(labels)])
    axis.set(xlabel=PREDICTORS[predictor], ylabel=_with_unit(outcome))
    axis.tick_params(labelsize=8)


def _tick(value: float) -> str:
    """`"0.113"`, `"9×10⁵"`."""
    if abs(value) < 1e4:
        return f"{value:.3g}"
    power = math.floor(math.log10(abs(value)))
    return f"{value / 10**power:.0f}×10{str(power).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def halves_beside(table: pd.DataFrame) -> Figure:
    """ρ of every predictor in both halves with its interval; a row per predictor, ordered by the last half.

    Args:
        table: see `tables.halves_frame`.
    """
    names = [half for half in COLOURS if f"rho_{half}" in table]
    frame = table.sort_values(f"rho_{names[-1]}", ascending=False, ignore_index=True)
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(7.2, 0.3 * len(frame) + 1), layout="constrained")
        axis = figure.subplots()
    for shift, half in zip((0.15, -0.15), names, strict=False):
        rho, low, high = (frame[f"{column}_{half}"].to_numpy(float) for column in ("rho", "low", "high"))
        places = np.arange(len(frame)) + shift
        axis.errorbar(
            rho, places, xerr=[rho - low, high - rho], fmt="o", markersize=4, capsize=0, color=COLOURS[half], label=half
        )
    axis.axvline(0, color="0.4", linewidth=1)
    axis.set_yticks(range(len(frame)), [PREDICTORS[p] for p in frame["predictor"]])
    axis.set(xlabel="Spearman's ρ with 95% interval", xlim=(-1, 1))
    axis.legend(frameon=True, loc="best")
    return figure


def plane_of_moduli(halves: Sequence[AtlasHalf], outcomes: Sequence[str]) -> Figure:
    """Largest × largest parasitic modulus, a panel per outcome that colours the schemes."""
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(4.6 * len(outcomes), 4.1), layout="constrained")
        axes = figure.subplots(1, len(outcomes), squeeze=False)[0]
    predictors = np.concatenate([half.means.predictors for half in halves])
    largest, parasitic = (predictors[:, list(PREDICTORS).index(p)] for p in ("largest_modulus", "parasitic_modulus"))
    for axis, outcome in zip(axes, outcomes, strict=True):
        values = np.concatenate([half.value(outcome) for half in halves])
        # A few extreme schemes would take the whole range of colours.
        scale = Normalize(*np.nanquantile(values, [0.02, 0.98]))
        axis.scatter(largest, parasitic, c=values, cmap="viridis", norm=scale, s=14, linewidths=0, rasterized=True)
        axis.axvline(1, color="0.4", linewidth=1, linestyle=":")
        axis.axhline(1, color="0.4", linewidth=1, linestyle=":")
        axis.set(xlabel="largest modulus", ylabel="largest parasitic modulus")
        figure.colorbar(ScalarMappable(scale, "viridis"), ax=axis, label=_with_unit(outcome), extend="both")
    return figure


def ranking(points: pd.DataFrame, outcome: str) -> Figure:
    """Every scheme by its rank with its 95% interval.

    Args:
        points: `value`, `half_width` and `zero_stable` of each scheme, see `scheme_points`.
    """
    frame = points.dropna(subset=["value"])
    frame = frame.sort_values("value", ascending=outcome.startswith(SHARE_LOST), ignore_index=True)
    frame.index += 1
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(7.6, 3.6), layout="constrained")
        axis = figure.subplots()
    width = frame["half_width"].to_numpy(float)
    if np.isfinite(width).any():
        low = np.maximum(frame["value"] - width, 0)
        axis.vlines(frame.index, low, frame["value"] + width, color="0.8", linewidth=0.8, rasterized=True)
    # In one call, in the order of ranks: one side drawn after the other would hide it.
    colours = verdict_of(frame).map(VERDICT_COLOURS)
    axis.scatter(frame.index, frame["value"], s=4, c=colours, linewidths=0, zorder=3, rasterized=True)
    for verdict in ("zero-stable", "not zero-stable"):
        axis.plot([], [], ".", color=VERDICT_COLOURS[verdict], label=verdict)
    axis.set(xlabel="rank of the scheme, 1 for the best", ylabel=_with_unit(outcome))
    axis.legend(frameon=True)
    return figure


def design(correlations: pd.DataFrame) -> Figure:
    """Rank correlations of the candidates over the schemes, as a matrix."""
    names = [PREDICTORS[str(p)] for p in correlations]
    with sns.axes_style("white"):
        figure = Figure(figsize=(9.4, 8.2), layout="constrained")
        axis = figure.subplots()
    labels = correlations.map(lambda v: "" if np.isnan(v) else f"{v:.1f}".replace("0.", "."))
    sns.heatmap(
        correlations.set_axis(names).set_axis(names, axis=1),
        annot=labels.to_numpy(),
        fmt="",
        annot_kws={"size": 6.5},
        vmin=-1,
        vmax=1,
        cmap="vlag",
        square=True,
        ax=axis,
        cbar_kws={"label": "Spearman's ρ", "shrink": 0.7},
    )
    axis.tick_params(labelsize=8)
    return figure


def _with_unit(outcome: str) -> str:
    return outcome if _unit(outcome) in outcome else f"{outcome}, {_unit(outcome)}"


def _unit(outcome: str) -> str:
    return "%" if outcome == CLEAN_ACCURACY or outcome.startswith("share lost") else "ε" if "ε" in outcome else "points"
