"""Names beside points."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from robustbench_zs.reporting.names import name_points


@pytest.mark.parametrize(
    "points",
    [
        [(1.0, 0.08 + 0.001 * i) for i in range(8)] + [(4.0, 0.02), (0.5, 0.1)],
        [(1.0, 1.0)] * 6,
    ],
    ids=["one modulus", "one place"],
)
def test_no_name_lies_on_another_or_leaves_its_figure(points: list[tuple[float, float]]) -> None:
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.scatter(*zip(*points, strict=True))
    name_points(figure, axis, [f"table10-{i}" for i, _ in enumerate(points)], points)
    boxes = [text.get_window_extent() for text in axis.texts]
    assert len(boxes) == len(points)
    frame = axis.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)
    for a, b in combinations(boxes, 2):
        shared = Bbox.intersection(a, b)
        assert shared is None or shared.width * shared.height < 1
