"""One picture that compares networks over perturbations: what `--plot` of `evaluate` and `attack` draws."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from robustbench_zs.perturbations import parse_number
from robustbench_zs.reporting.drawing import saved

_LEVEL = re.compile(r"(?P<kind>[\w-]+)\((?P<name>delta|mu|eps)=(?P<level>[^,)]+)(?P<rest>[^)]*)\)(?P<source>.*)")
_SYMBOLS = {"delta": "δ", "mu": "μ", "eps": "ε"}
_STYLES = ("-", "--", "-.", ":")
_MARKERS = "osD^vP"


def picture(figure: Figure, path: Path) -> bytes:
    """The figure in the format of a file's ending, with nothing cut off; the same bytes for the same figure."""
    kind = path.suffix.lower().removeprefix(".")
    undated = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    return saved(figure, kind, 130, undated, bbox_inches="tight")


def networks_compared(results: pd.DataFrame) -> Figure:
    """Accuracy of networks with 95% intervals, a panel per kind of perturbation.

    Where a kind has levels (δ, μ, ε), accuracy stands against them, from the clean accuracy at 0 on, one line per network
    and seed; perturbations without levels stand side by side in a panel of their own.

    Args:
        results: rows of `evaluation.result_row`.
    """
    rows = results.assign(line=_lines(results), place=range(len(results)))
    found = [_LEVEL.fullmatch(label) for label in rows["perturbation"]]
    rows["panel"] = [_panel(match) if match else "" for match in found]
    rows["level"] = [float(parse_number(match["level"], match["name"], -1000, 1000)) if match else np.nan for match in found]
    panels = list(dict.fromkeys(rows["panel"]))
    lines = list(dict.fromkeys(rows["line"]))
    colours = dict(zip(lines, sns.color_palette("colorblind" if len(lines) <= 10 else "husl", len(lines)), strict=True))
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(4.6 * len(panels) + 0.5, 4.2), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axis, panel in zip(axes, panels, strict=True):
        part = rows[rows["panel"] == panel]
        labels = list(dict.fromkeys(part["perturbation"]))
        for number, line in enumerate(lines):
            style = {"color": colours[line], "marker": _MARKERS[number % len(_MARKERS)], "label": line, "markersize": 5}
            group = part[part["line"] == line]
            if panel:
                _draw_levels(axis, group.sort_values("level"), style | {"linestyle": _STYLES[number % len(_STYLES)]})
            else:
                shift = 0.6 * ((number + 0.5) / len(lines) - 0.5)
                places = [labels.index(label) + shift for label in group["perturbation"]]
                _draw(axis, np.array(places), group, style | {"linestyle": "none"})
        axis.set(xlabel=panel or "", ylim=(0, 102))
        if not panel:
            axis.set_xticks(
                range(len(labels)),
                labels,
                rotation=20 if len(labels) > 1 else 0,
                ha="right" if len(labels) > 1 else "center",
            )
            axis.set_xlim(-0.6, len(labels) - 0.4)
    axes[0].set_ylabel("accuracy, %")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", frameon=False, fontsize=8)
    return figure


def _panel(match: re.Match[str]) -> str:
    rest = re.sub(r", ladder\b", "", match["rest"]).removeprefix(", ")
    return f"{match['kind']}{f' ({rest})' if rest else ''}{match['source']}: {_SYMBOLS[match['name']]}"


def _lines(results: pd.DataFrame) -> list[str]:
    """What tells a network from the others: its name, its seed where it has one, its file where that is not enough."""
    named = [f"{n} seed {s}" if pd.notna(s) else str(n) for n, s in zip(results["network"], results["seed"], strict=True)]
    files = pd.Series(results["checkpoint"].to_numpy()).groupby(pd.Series(named)).nunique()
    return [
        f"{name} {Path(str(file)).name}" if files[name] > 1 else name
        for name, file in zip(named, results["checkpoint"], strict=True)
    ]


def _draw_levels(axis: Axes, group: pd.DataFrame, style: dict[str, Any]) -> None:
    """Against the levels, joined with the clean accuracy at level 0."""
    if group.empty:
        return
    joined = pd.concat([group["level"], pd.Series([0.0])]).to_numpy()
    accuracies = pd.concat([group["accuracy"], group["clean_accuracy"].iloc[:1]]).to_numpy()
    order = joined.argsort()
    axis.plot(joined[order], accuracies[order], color=style["color"], linestyle=style.pop("linestyle"), linewidth=1.2)
    axis.plot([0], accuracies[-1:], color=style["color"], marker=style["marker"], markersize=5, fillstyle="none")
    _draw(axis, group["level"].to_numpy(), group, style | {"linestyle": "none"})


def _draw(axis: Axes, places: npt.NDArray[np.float64], group: pd.DataFrame, style: dict[str, Any]) -> None:
    low, high = (np.abs(group["accuracy"].to_numpy() - group[end].to_numpy()) for end in ("ci_low", "ci_high"))
    axis.errorbar(places, group["accuracy"].to_numpy(), yerr=[low, high], capsize=2, **style)
