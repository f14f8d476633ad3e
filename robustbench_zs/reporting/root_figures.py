"""Figures of roots in the complex plane."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from robustbench_zs.analysis.predictors import LARGEST_MODULUS
from robustbench_zs.analysis.summary import CLEAN, with_largest_modulus
from robustbench_zs.reporting.drawing import VERDICT_COLOURS, panels, scatter, verdict_of
from robustbench_zs.schemes import MultistepScheme

MAX_PATTERNS = 24
"""Root patterns that fit side by side."""


MAX_PANELS = 12
"""Panels of one figure."""


def accuracy_by_roots(results: pd.DataFrame) -> Figure | None:
    """Clean accuracy against the root pattern (Figure 4 of the paper), mean and standard deviation over seeds.

    One column for each pattern of moduli, ordered by the largest; networks of several depths share it. None where no
    network has roots, or for more than `MAX_PATTERNS`.
    """
    frame = with_largest_modulus(results[results["perturbation"] == CLEAN]).dropna(subset=[LARGEST_MODULUS])
    frame = frame.assign(
        Verdict=verdict_of, pattern=["\n".join(f"{m:.2f}" for m in moduli) for moduli in frame["moduli"]]
    ).sort_values(LARGEST_MODULUS, kind="stable")
    patterns = frame["pattern"].nunique()
    if not 0 < patterns <= MAX_PATTERNS:
        return None
    figure, (axis,) = panels(1, 1, max(4.0, 0.33 * patterns + 1.5), 3.4)
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
    axis.tick_params(axis="x", labelsize=7)
    axis.legend(title=None, fontsize=8)
    return figure


def roots_in_the_plane(schemes: Mapping[str, MultistepScheme]) -> Figure:
    """The characteristic roots of each scheme in the complex plane with the unit circle, a panel per scheme.

    Beyond `MAX_PANELS` schemes all roots are in one panel.
    """
    if len(schemes) > MAX_PANELS:
        figure, (axis,) = panels(1, 1, 5.0, 5.0)
        rows = [(root, scheme.zero_stable) for scheme in schemes.values() for root in scheme.roots]
        frame = pd.DataFrame({"x": [r.real for r, _ in rows], "value": [r.imag for r, _ in rows]})
        scatter(frame.assign(zero_stable=[stable for _, stable in rows]), axis, legend=True, x="x")
        _unit_circle(axis, max(scheme.largest_modulus for scheme in schemes.values()))
        axis.set(xlabel="real part", ylabel="imaginary part")
        return figure
    figure, axes = panels(len(schemes), 5, 1.9, 2.45)
    for axis, (name, scheme) in zip(axes, schemes.items(), strict=True):
        verdict = "zero-stable" if scheme.zero_stable else "not zero-stable"
        parasitic = scheme.parasitic_roots
        colour = VERDICT_COLOURS[verdict]
        axis.plot([r.real for r in parasitic], [r.imag for r in parasitic], "x", color=colour, markersize=7)
        axis.plot([scheme.principal_root.real], [scheme.principal_root.imag], "o", color=colour, markersize=6)
        _unit_circle(axis, scheme.largest_modulus)
        axis.set_title(f"{name[:32]}\n{verdict},\nlargest modulus {scheme.largest_modulus:.2f}", fontsize=8)
        axis.tick_params(labelsize=7)
    figure.supxlabel("● principal root   × parasitic roots", fontsize=9)
    return figure


def _unit_circle(axis: Axes, largest: float) -> None:
    axis.add_patch(Circle((0, 0), 1, fill=False, color="0.5", linewidth=1))
    axis.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    axis.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    reach = 1.15 * max(1.0, largest)
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
