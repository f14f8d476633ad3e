"""What figures share: colours of verdicts, empty panels, scattered points; and drawn figures as files."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from robustbench_zs.analysis.predictors import LARGEST_MODULUS
from robustbench_zs.reporting.page import Picture

VERDICT_COLOURS = {"zero-stable": "#0072B2", "not zero-stable": "#D55E00", "no verdict": "#777777"}
"""Blue and vermilion of Okabe and Ito, which colour-blind readers can tell apart, and grey."""


DENSE = 100
"""Beyond so many points a panel is drawn in pixels, which keeps the page small."""


_BEYOND_HUNDREDTHS = re.compile(rb"(?<![\d.])([1-9]\d*\.\d\d)\d+")
"""What coordinates, in points, have beyond a hundredth, which nobody sees; numbers below 1 are scales and opacities."""


def png(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as PNG, the same bytes for the same figure."""
    return saved(figure, "png", dpi, {"Software": None})


def svg(figure: Figure) -> bytes:
    """The figure as SVG with a transparent background, the same bytes for the same figure."""
    drawn = saved(figure, "svg", 150, {"Date": None, "Creator": None}, transparent=True)
    return _BEYOND_HUNDREDTHS.sub(rb"\1", drawn)


def picture(name: str, figure: Figure, caption: str, alternative: str) -> Picture:
    """A figure as a report shows it."""
    return Picture(f"{name}.svg", svg(figure), caption, alternative)


def saved(figure: Figure, kind: str, dpi: int, metadata: dict[str, None], **options: Any) -> bytes:
    """The figure as a file of a kind, the same bytes for the same figure; options as of `savefig`."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a dollar sign in a name is one
    with mpl.rc_context({"svg.hashsalt": "zsbench"}):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata, **options)
    return buffer.getvalue()


def panels(count: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, at most `columns` in a row."""
    columns = min(columns, count)
    rows = -(-count // columns)
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(width * columns + 0.4, height * rows + 0.4), layout="constrained")
        axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axis in axes[count:]:
        axis.remove()
    return figure, axes[:count]


def verdict_of(frame: pd.DataFrame) -> pd.Series:
    """Which of `VERDICT_COLOURS` each row has, by its column `zero_stable`."""
    return frame["zero_stable"].map({True: "zero-stable", False: "not zero-stable"}).fillna("no verdict")


def scatter(points: pd.DataFrame, axis: Axes, legend: bool, x: str = LARGEST_MODULUS) -> None:
    """Points by verdict, with the unit circle as a dotted line where x is a modulus."""
    points = points.assign(Verdict=verdict_of)
    verdicts = [v for v in VERDICT_COLOURS if (points["Verdict"] == v).any()]
    sns.scatterplot(
        points,
        x=x,
        y="value",
        hue="Verdict",
        style="Verdict",
        hue_order=verdicts,
        style_order=verdicts,
        palette=VERDICT_COLOURS,
        ax=axis,
        legend=legend,
        zorder=3,
        rasterized=len(points) > DENSE,
    )
    axis.xaxis.set_major_locator(MaxNLocator(5 if axis.get_position().width > 0.5 else 3))
    axis.ticklabel_format(axis="x", useOffset=False)  # moduli that hardly differ are written out
    if x == LARGEST_MODULUS:
        axis.axvline(1, color="0.6", linewidth=1, linestyle=":")
    if legend:
        axis.legend(fontsize=8, title=None)
