"""Names beside the points of a figure, placed so that none lies on another or on a point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

FONT_SIZE = 7
POINT = 3
"""Half the width of a point, in typographic points."""

SIDES = ((1, 1), (1, -1), (-1, 1), (-1, -1))
DISTANCES = (4, 12, 20, 28, 36, 44)
"""How far beside its point a name may stand, in typographic points; the nearest free place is taken."""


def name_points(figure: Figure, axis: Axes, names: Sequence[str], points: Sequence[tuple[float, float]]) -> None:
    """Write each name beside its point, tied to it by a line where the places next to it are taken.

    The data of the axis must be drawn already, since its limits decide what lies on what.
    """
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    dot = figure.dpi / 72
    centres = axis.transData.transform(points)
    taken = [Bbox([centre - POINT * dot, centre + POINT * dot]) for centre in centres]
    frame = axis.get_window_extent()
    for name, point, centre in zip(names, points, centres, strict=True):
        text = axis.annotate(name, point, (0, 0), textcoords="offset points", fontsize=FONT_SIZE, color="0.35")
        size = np.array(text.get_window_extent().size)
        places = [(distance, side) for distance in DISTANCES for side in SIDES]
        boxes = [_box(centre, size, distance * dot, side) for distance, side in places]
        hidden = [sum(_shared(box, other) for other in taken) + float(size.prod()) - _shared(box, frame) for box in boxes]
        best = int(np.argmin(np.round(hidden, 3)))
        distance, _ = places[best]
        taken.append(boxes[best])
        text.set_position((boxes[best].min - centre) / dot)
        if distance > DISTANCES[0]:
            nearest = np.clip(centre, boxes[best].min, boxes[best].max)
            ends = axis.transData.inverted().transform([centre, nearest])
            axis.plot(*ends.T, color="0.7", linewidth=0.5, zorder=1)


def _box(centre: np.ndarray, size: np.ndarray, distance: float, side: tuple[int, int]) -> Bbox:
    """Where a name of this size stands whose corner is `distance` away from its point, both ways."""
    corner = centre + distance * np.array(side)
    other = corner + size * side
    return Bbox([np.minimum(corner, other), np.maximum(corner, other)])


def _shared(a: Bbox, b: Bbox) -> float:
    """The area of what two boxes share, in square pixels."""
    shared = Bbox.intersection(a, b)
    return 0.0 if shared is None else float(shared.width * shared.height)
