"""The figures of a report, by seaborn on figures of their own, so that a notebook's are left alone."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.text import Text

from robustbench_zs.analysis.network_outcomes import ROBUSTNESS, SMALLEST_EPS
from robustbench_zs.analysis.summary import CLEAN, with_largest_modulus
from robustbench_zs.reporting.alternatives import class_name
from robustbench_zs.schemes import MultistepScheme

VERDICT_COLOURS = {"zero-stable": "#0072B2", "not zero-stable": "#D55E00", "no verdict": "#000000"}
"""Blue, vermilion and black of Okabe and Ito, which colour-blind readers can tell apart."""

MOST_BANDS = 4
"""With more networks than this the bands of accuracies would hide each other."""

_LEVEL = re.compile(
    r"(?P<kind>gaussian|constant|fgsm|pgd|apgd(-t)?|fab|autoattack|square)\((?P<name>delta|mu|eps)=(?P<level>-?[0-9.e-]+)(?P<over>/255)?[,)]"
)
_AXIS = {
    "gaussian": "Gaussian noise, δ",
    "constant": "constant noise, μ",
    "fgsm": "FGSM, ε",
    "pgd": "PGD, ε",
    "apgd": "APGD, ε",
    "apgd-t": "APGD-T, ε",
    "fab": "FAB-T, ε",
    "autoattack": "AutoAttack, ε",
    "square": "Square, ε",
}


def png(figure: Figure, dpi: int = 130) -> bytes:
    """The figure as PNG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a dollar sign in a name is one
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def _verdicts(frame: pd.DataFrame) -> pd.Series:
    return frame["zero_stable"].map({True: "zero-stable", False: "not zero-stable"}).fillna("no verdict")


def accuracy_against_level(results: pd.DataFrame) -> Figure | None:
    """Accuracy against the noise level, a panel for each kind with two levels or more, a line a scheme; None without one.

    Level 0 is the clean accuracy; up to four networks have bands of one standard deviation over seeds.
    """
    parts = []
    clean = results[results["perturbation"] == CLEAN]
    for label in results["perturbation"].unique():
        match = _LEVEL.match(label)
        if match:
            level = float(match["level"]) / (255 if match["over"] else 1)
            parts.append(results[results["perturbation"] == label].assign(kind=match["kind"], level=level))
    if not parts:
        return None
    levels = pd.concat(parts)
    kinds = [k for k, g in levels.groupby("kind", sort=False) if g["level"].nunique() > 1]
    if not kinds:
        return None
    levels = pd.concat([levels, *(clean.assign(kind=k, level=0.0) for k in kinds)])
    levels = with_largest_modulus(levels).assign(Verdict=_verdicts)
    # colour runs with the largest modulus, so the legend is also the order of the claim
    order = levels.drop_duplicates("network").sort_values("largest_modulus")
    # The scheme alone says it where every network has one of its own.
    label = "scheme" if order["scheme"].is_unique else "network"
    names = {
        r["network"]: str(r[label]) + (f"  (|ρ| = {r['largest_modulus']:.2f})" if pd.notna(r["largest_modulus"]) else "")
        for _, r in order.iterrows()
    }
    levels["Network"] = levels["network"].map(names)
    palette = dict(zip(names.values(), sns.color_palette("viridis_r", len(names)), strict=True))
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(4.2 * len(kinds) + 3.4, 4.2), layout="constrained")
        axes = figure.subplots(1, len(kinds), squeeze=False)[0]
    for axis, kind in zip(axes, kinds, strict=True):
        sns.lineplot(
            levels[levels["kind"] == kind],
            x="level",
            y="accuracy",
            hue="Network",
            style="Verdict",
            palette=palette,
            hue_order=list(names.values()),
            style_order=[v for v in VERDICT_COLOURS if (levels["Verdict"] == v).any()],
            errorbar="sd" if len(names) <= MOST_BANDS else None,
            ax=axis,
            legend=axis is axes[-1],
        )
        axis.set(xlabel=_AXIS[str(kind)], ylabel="accuracy, %" if axis is axes[0] else "")
    if axes[-1].get_legend():
        sns.move_legend(axes[-1], "center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=8)
    return figure


def robustness_against_modulus(outcomes: pd.DataFrame) -> Figure | None:
    """Robustness against the largest root modulus, a panel for each outcome, a point a network; None without points.

    There is no line through them: whether there is a relation is said by the test.

    Args:
        outcomes: see `analysis.network_outcomes`.
    """
    frame = with_largest_modulus(outcomes[outcomes["family"] == ROBUSTNESS]).dropna(subset=["largest_modulus"])
    if frame.empty:
        return None
    frame = frame.assign(Verdict=_verdicts)
    labels = list(frame["outcome"].unique())
    verdicts = [v for v in VERDICT_COLOURS if (frame["Verdict"] == v).any()]
    columns = min(3, len(labels))
    rows = -(-len(labels) // columns)
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(3.8 * columns, 3.1 * rows + 0.5), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, label in zip(axes, labels, strict=False):
        points = frame[frame["outcome"] == label]
        sns.scatterplot(
            points,
            x="largest_modulus",
            y="value",
            hue="Verdict",
            style="Verdict",
            hue_order=verdicts,
            style_order=verdicts,
            palette=VERDICT_COLOURS,
            ax=axis,
            legend=axis is axes[0],
        )
        kind, _, perturbation = label.partition(", ")
        axis.axvline(1, color="0.6", linewidth=1, linestyle=":")
        axis.set(
            title=perturbation or kind, xlabel="largest root modulus", ylabel="ε" if kind == SMALLEST_EPS else f"{kind}, %"
        )
        axis.title.set_fontsize(9)
    for axis in axes[len(labels) :]:
        axis.remove()
    if axes[0].get_legend():
        axes[0].legend(frameon=True, fontsize=8, title=None)
    return figure


def accuracy_by_roots(results: pd.DataFrame) -> Figure | None:
    """Clean accuracy against the root pattern (Figure 4 of the paper), mean and standard deviation over seeds.

    One column for each pattern of moduli, ordered by the largest; networks of several depths share it. None where no
    network has roots.
    """
    frame = with_largest_modulus(results[results["perturbation"] == CLEAN]).dropna(subset=["largest_modulus"])
    if frame.empty:
        return None
    frame = frame.assign(
        Verdict=_verdicts, pattern=["\n".join(f"{m:.2f}" for m in moduli) for moduli in frame["moduli"]]
    ).sort_values("largest_modulus", kind="stable")
    patterns = frame["pattern"].nunique()
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(max(4.0, 0.75 * patterns + 1.5), 4.0), layout="constrained")
        axis = figure.subplots()
    sns.pointplot(
        frame,
        x="pattern",
        y="accuracy",
        hue="Verdict",
        hue_order=[v for v in VERDICT_COLOURS if (frame["Verdict"] == v).any()],
        palette=VERDICT_COLOURS,
        errorbar="sd",
        capsize=0.2,
        linestyle="none",
        markers="o",
        ax=axis,
    )
    axis.set(xlabel="moduli of the roots", ylabel="accuracy, %")
    axis.legend(title=None)
    return figure


def robustness_curves(curves: pd.DataFrame) -> Figure:
    """Robust accuracy against ε, a line a network, mean over its seeds; up to `MOST_BANDS` networks have the band between
    the lowest and the highest seed.

    Args:
        curves: rows of `evaluation.curve_row`.
    """
    order = with_largest_modulus(curves).drop_duplicates("network").sort_values("largest_modulus", kind="stable")
    label = "scheme" if order["scheme"].notna().all() and order["scheme"].is_unique else "network"
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(7.6, 4.2), layout="constrained")
        axis = figure.subplots()
    for (_, row), colour in zip(order.iterrows(), sns.color_palette("viridis_r", len(order)), strict=True):
        group = curves[curves["network"] == row["network"]]
        accuracy = np.array(group["robust_accuracy"].tolist())
        modulus = f"  (|ρ| = {row['largest_modulus']:.2f})" if pd.notna(row["largest_modulus"]) else ""
        style = "--" if row["zero_stable"] is False else "-"
        eps = group["eps"].iloc[0]
        axis.plot(eps, accuracy.mean(0), style, color=colour, label=f"{row[label]}{modulus}")
        if len(order) <= MOST_BANDS and len(group) > 1:
            axis.fill_between(eps, accuracy.min(0), accuracy.max(0), color=colour, alpha=0.15, linewidth=0)
    norm = {"linf": "L∞", "l2": "L2"}[str(curves["norm"].iloc[0])]
    axis.set(
        xlabel=f"ε ({norm}); dashed: not zero-stable",
        ylabel="robust accuracy, % (upper bound)",
        ylim=(0, None),
        xlim=(0, None),
    )
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=8)
    return figure


def roots_in_the_plane(schemes: Mapping[str, MultistepScheme], beside: Mapping[str, str] | None = None) -> Figure:
    """The characteristic roots of each scheme in the complex plane with the unit circle, a panel a scheme.

    Args:
        beside: a line of text for each scheme, below its name.
    """
    columns = min(5, len(schemes))
    rows = -(-len(schemes) // columns)
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(2.6 * columns + 0.4, (3.3 if beside else 2.9) * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, scheme) in zip(axes, schemes.items(), strict=False):
        verdict = "zero-stable" if scheme.zero_stable else "not zero-stable"
        axis.add_patch(Circle((0, 0), 1, fill=False, color="0.5", linewidth=1))
        axis.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        axis.axvline(0, color="0.85", linewidth=0.8, zorder=0)
        parasitic = scheme.parasitic_roots
        colour = VERDICT_COLOURS[verdict]
        axis.plot([r.real for r in parasitic], [r.imag for r in parasitic], "x", color=colour, markersize=7)
        axis.plot([scheme.principal_root.real], [scheme.principal_root.imag], "o", color=colour, markersize=6)
        reach = 1.15 * max(1.0, scheme.largest_modulus)
        axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        line = f"\n{beside[name]}" if beside else ""
        axis.set_title(f"{name[:32]}\n{verdict}, |ρ| ≤ {scheme.largest_modulus:.2f}{line}", fontsize=8)
        axis.tick_params(labelsize=7)
    for axis in axes[len(schemes) :]:
        axis.remove()
    figure.supxlabel("● principal root   × parasitic roots", fontsize=9)
    return figure


def example_images(examples: pd.DataFrame, pixels: npt.NDArray[np.float32]) -> Figure:
    """Images, clean and perturbed, with what each network takes them for; a row a network and image.

    Args:
        examples: one row a picture with `network, image, dataset, label, perturbation, predicted`, in the order of `pixels`.
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
