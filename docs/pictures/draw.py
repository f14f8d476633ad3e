"""Draws the pictures of `zero-stability.md`: `python docs/pictures/draw.py` writes the SVG files beside this script."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from robustbench_zs.schemes import MultistepScheme, one_step, scheme_from_name
from robustbench_zs.schemes.amplification import impulse_response

HERE = Path(__file__).parent
BLOCKS = 27
"""Residual blocks of a network of 56 layers."""

SHOWN = {
    "euler": "keeps it",
    "preresnet:alpha=0.7": "forgets it",
    "zerosnet-opt": "settles at once",
    "table10-5": "overshoots first",
    "table10-1": "lets it explode",
}
STABLE, UNSTABLE = "#2b6cb0", "#c53030"

plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "zsbench", "font.size": 9, "axes.spines.top": False})
plt.rcParams.update({"axes.spines.right": False, "font.family": "sans-serif", "figure.constrained_layout.use": True})


def _color(scheme: MultistepScheme) -> str:
    return STABLE if scheme.zero_stable else UNSTABLE


def roots() -> Figure:
    """The roots of each scheme beside the unit circle."""
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(8.2, 2.2), sharey=True)
    angle = np.linspace(0, 2 * np.pi, 200)
    for panel, name in zip(axes, SHOWN, strict=True):
        scheme = scheme_from_name(name)
        panel.plot(np.cos(angle), np.sin(angle), color="0.6", lw=0.8)
        panel.plot([r.real for r in scheme.roots], [r.imag for r in scheme.roots], "o", color=_color(scheme), ms=5)
        panel.set(xlim=(-1.3, 2.05), ylim=(-1.3, 1.3), aspect="equal", xticks=[-1, 0, 1, 2], yticks=[-1, 0, 1])
        panel.set_title(name, fontsize=8.5)
    return figure


def impulses() -> Figure:
    """What is left of a residual after k further blocks."""
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(8.2, 2.2))
    for panel, (name, words) in zip(axes, SHOWN.items(), strict=True):
        scheme = scheme_from_name(name)
        panel.plot(np.abs(impulse_response(scheme, BLOCKS)), color=_color(scheme), lw=1.5)
        panel.set_title(f"{name}\n{words}", fontsize=8)
        panel.set_xlabel("blocks later")
        if max(np.abs(impulse_response(scheme, BLOCKS))) > 100:
            panel.set_yscale("log")
        else:
            panel.set_ylim(0, 3.5)
    axes[0].set_ylabel("|g|")
    return figure


def family() -> Figure:
    """Largest and second modulus of the ZeroSNet family, and where its schemes are zero-stable."""
    values = np.r_[np.linspace(-8, -0.02, 400), np.linspace(0.02, 8, 400)]
    schemes = [scheme_from_name(f"zerosnet:lambda={value:.4f}") for value in values]
    figure, panel = plt.subplots(figsize=(5.2, 2.8))
    parasitic = [max(abs(r) for r in s.parasitic_roots) for s in schemes]
    for sign in (values < 0, values > 0):
        panel.plot(values[sign], np.array(parasitic)[sign], color="0.35", lw=1.2)
    stable = np.array([s.zero_stable for s in schemes])
    panel.fill_between(values, 0, 4, where=list(stable), color=STABLE, alpha=0.15, lw=0, label="zero-stable")
    panel.axhline(1, color="0.6", lw=0.8)
    panel.plot([-1.8], [1 / 3], "o", color=STABLE, label="zerosnet-opt, λ = −9/5")
    panel.set(ylim=(0, 4), xlim=(-8, 8), xlabel="λ", ylabel="largest parasitic modulus")
    panel.legend(frameon=False, loc="upper right")
    return figure


def growth() -> Figure:
    """α^k of the one-step family: the same initial error after up to 27 blocks."""
    figure, panel = plt.subplots(figsize=(5.2, 2.6))
    for alpha in ("1.5", "1.1", "1", "0.9", "0.7"):
        scheme = one_step(alpha)
        response = np.abs(impulse_response(scheme, BLOCKS))
        panel.semilogy(response, color=_color(scheme), lw=1.5)
        panel.annotate(f"α = {alpha}", (BLOCKS - 1, response[-1]), (4, -3), textcoords="offset points", fontsize=8)
    panel.set(xlim=(0, BLOCKS + 2), ylim=(1e-5, 1e5), xlabel="blocks later", ylabel="size of an error of 1")
    return figure


if __name__ == "__main__":
    for draw in (roots, impulses, family, growth):
        draw().savefig(HERE / f"{draw.__name__}.svg", metadata={"Date": None})
