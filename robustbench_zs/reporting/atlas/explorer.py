"""The interactive page of an atlas: choose a scheme, see its roots, its impulse response and what it achieves.

It is drawn by Vega-Lite, whose code `vl-convert-python` (the extra `interactive`) has for embedding: 0.9 MB, against 1.3 MB
of bokeh and 4.8 MB of plotly. The page makes no request to anywhere.
"""

from __future__ import annotations

import json
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined

from robustbench_zs.analysis.halves import scheme_of
from robustbench_zs.analysis.network_outcomes import SMALLEST_EPS
from robustbench_zs.analysis.predictors import PREDICTORS
from robustbench_zs.reporting.drawing import VERDICT_COLOURS
from robustbench_zs.schemes import format_coefficient, impulse_response
from robustbench_zs.schemes.atlas import atlas_scheme
from robustbench_zs.schemes.coefficients import Coefficient
from robustbench_zs.system.files import write_atomically

AXES = ("noise_gain", "largest_modulus", "log_modulus", "parasitic_modulus", "impulse_supremum", "last_share")
DIGITS = 4
TICKS = [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 100, 300, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e10]
"""Vega's own for such a scale crowd at its far end."""
IMPULSE_TICKS = [sign * tick for tick in (0.5, 1, 2, 5, 10, 100, 1e3, 1e4, 1e6, 1e8) for sign in (1, -1)] + [0]
TICK_LABEL = "abs(datum.value) < 1e4 ? format(datum.value, '~r') : replace(format(datum.value, '~e'), '+', '')"
SYMLOG = "linear near 0, then logarithmic"
PICKED = {"filter": {"param": "picked", "empty": False}}
VERDICTS = ["zero-stable", "not zero-stable"]
COLOUR = {
    "field": "verdict",
    "scale": {"domain": VERDICTS, "range": [VERDICT_COLOURS[verdict] for verdict in VERDICTS]},
    "legend": {"orient": "top", "title": None},
}


def write_explorer(path: Path, title: str, schemes: pd.DataFrame, blocks: int) -> bool:
    """Write the page; without the extra `interactive` none, and one from before is removed. Returns whether it is there.

    Args:
        schemes: see `tables.schemes_frame`.
        blocks: number of residual blocks, over which the impulse response is shown.

    Raises:
        UnfinishedError: the file cannot be written.
    """
    if find_spec("vl_convert") is None:
        path.unlink(missing_ok=True)
        return False
    import vl_convert

    outcomes = [str(column) for column in schemes.columns[4:] if column not in PREDICTORS]
    template = resources.files("robustbench_zs.reporting.atlas").joinpath("explorer.html.j2").read_text(encoding="utf-8")
    page = Environment(undefined=StrictUndefined, autoescape=True).from_string(template)
    spec = json.dumps(specification(explorer_rows(schemes, outcomes, blocks), outcomes), allow_nan=False)
    write_atomically(
        path,
        page.render(
            title=title,
            names=list(schemes["scheme"]),
            library=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script"),
            spec=spec.replace("<", "\\u003c"),
        ),
    )
    return True


def explorer_rows(schemes: pd.DataFrame, outcomes: list[str], blocks: int) -> list[dict[str, Any]]:
    """One row per scheme: roots (`re`, `im`), impulse response `g`, `n0`, `n1`, … for outcomes and `AXES`; null if unknown.

    Names of outcomes have dots and brackets, which mean something in Vega-Lite, so numbers stand for them.
    """
    rows = []
    for row in schemes.to_dict("records"):
        scheme = atlas_scheme(scheme_of(row["scheme"]))
        numbers = {f"n{i}": _short(row[name]) for i, name in enumerate((*outcomes, *AXES))}
        rows.append(
            {
                "scheme": row["scheme"],
                "half": row["half"],
                "verdict": "zero-stable" if row["zero_stable"] else "not zero-stable",
                "alpha": [_texts(alpha) for alpha in scheme.alphas],
                "beta": [] if scheme.beta is None else [_texts(scheme.beta)],
                "re": [_short(root.real) for root in scheme.roots],
                "im": [_short(root.imag) for root in scheme.roots],
                "g": [_short(value) for value in impulse_response(scheme, blocks)],
                **numbers,
            }
        )
    return rows


def specification(rows: list[dict[str, Any]], outcomes: list[str]) -> dict[str, Any]:
    """The plots as a Vega-Lite specification; `names` among its parameters says what the numbers of a row are."""
    names = {f"n{i}": words for i, words in enumerate([*outcomes, *(PREDICTORS[name] for name in AXES)])}
    keys = list(names)
    vertical, horizontal = keys[: len(outcomes)], keys[len(outcomes) :]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"values": rows},
        "params": [
            {"name": "names", "value": names},
            _choice("vertical", "Outcome ", {key: names[key] for key in vertical}, SMALLEST_EPS),
            _choice("horizontal", "Against ", {key: names[key] for key in horizontal}),
        ],
        "columns": 2,
        "concat": [_points(rows[0]["scheme"]), {"vconcat": [_roots(), _impulse()]}],
        "config": {
            "background": "transparent",
            "font": "system-ui, sans-serif",
            # Of one width whatever stands beside the axis, so that nothing moves when another scheme is chosen.
            "axisY": {"minExtent": 40, "maxExtent": 40},
            "axis": {"labelFontSize": 12, "titleFontSize": 12},
            "legend": {"labelFontSize": 13},
        },
    }


def _points(first: str) -> dict[str, Any]:
    """All schemes; that whose point is nearest to a click, or whose name stands in the field `#scheme`, is picked."""
    chosen = {"param": "picked", "empty": False}
    return {
        "width": 640,
        "height": 450,
        "transform": [{"calculate": f"datum[{axis}]", "as": axis} for axis in ("horizontal", "vertical")],
        "params": [
            {
                "name": "picked",
                "value": [{"scheme": first}],
                "select": {"type": "point", "fields": ["scheme"], "on": "click, touchend", "nearest": True, "clear": False},
                "bind": {"scheme": {"element": "#scheme", "event": "change"}},
            }
        ],
        "mark": {"type": "point", "filled": True, "cursor": "pointer"},
        "encoding": {
            "x": {
                **_quantity("horizontal"),
                "scale": {"type": "symlog", "zero": False},
                "axis": {
                    "title": {"expr": f"[names[horizontal], '{SYMLOG}']"},
                    "values": TICKS,
                    "labelExpr": TICK_LABEL,
                    "labelOverlap": "greedy",
                    "labelSeparation": 3,
                },
            },
            "y": {
                **_quantity("vertical"),
                "scale": {"zero": False},
                "axis": {"title": {"expr": "names[vertical]"}, "labelExpr": TICK_LABEL},
            },
            "color": COLOUR,
            "opacity": {"condition": {**chosen, "value": 1}, "value": 0.35},
            "size": {"condition": {**chosen, "value": 160}, "value": 30},
            "stroke": {"condition": {**chosen, "value": "black"}, "value": None},
        },
    }


def _roots() -> dict[str, Any]:
    """The roots of the picked scheme: equal ones are one point, with their number beside it."""
    circle = {
        "data": {"sequence": {"start": 0, "stop": 6.3, "step": 0.05, "as": "t"}},
        "transform": [{"calculate": "cos(datum.t)", "as": "x"}, {"calculate": "sin(datum.t)", "as": "y"}],
        "mark": {"type": "line", "color": "#999999", "strokeWidth": 1},
        "encoding": {"x": _quantity("x"), "y": _quantity("y"), "order": {"field": "t"}},
    }
    plane = {"scale": {"domain": [-2.6, 2.6], "nice": False}, "axis": {"values": [-2, -1, 0, 1, 2]}}
    position = {"x": {**_quantity("re", "real part"), **plane}, "y": {**_quantity("im", "imaginary part"), **plane}}
    return {
        "width": 270,
        "height": 270,
        "title": "Roots and the unit circle",
        "layer": [
            circle,
            {
                "transform": [
                    PICKED,
                    {"flatten": ["re", "im"]},
                    {"aggregate": [{"op": "count", "as": "times"}], "groupby": ["re", "im", "verdict"]},
                ],
                "encoding": position,
                "layer": [
                    {"mark": {"type": "point", "filled": True, "size": 70, "opacity": 0.7}, "encoding": {"color": COLOUR}},
                    {
                        "transform": [{"filter": "datum.times > 1"}, {"calculate": "'×' + datum.times", "as": "words"}],
                        "mark": {"type": "text", "dx": 7, "dy": -9, "align": "left", "fontSize": 13, "fontWeight": "bold"},
                        "encoding": {"text": {"field": "words"}},
                    },
                ],
            },
        ],
    }


def _impulse() -> dict[str, Any]:
    return {
        "width": 270,
        "height": 120,
        "title": {"text": "Impulse response g", "subtitle": SYMLOG},
        "transform": [PICKED, {"flatten": ["g"]}, {"window": [{"op": "row_number", "as": "k"}]}],
        "mark": {"type": "bar", "width": 5},
        "encoding": {
            "x": _quantity("k", "block"),
            "y": {
                **_quantity("g"),
                "scale": {"type": "symlog"},
                "axis": {"values": IMPULSE_TICKS, "grid": False, "labelExpr": TICK_LABEL, "labelOverlap": "greedy"},
            },
            "color": COLOUR,
        },
    }


def _choice(param: str, label: str, options: dict[str, str], first: str = "") -> dict[str, Any]:
    """A menu of axes; what is called `first` is chosen at the beginning, where it is among them."""
    chosen = next((key for key, name in options.items() if name == first), next(iter(options)))
    menu = {"input": "select", "options": [*options], "labels": [*options.values()], "name": label}
    return {"name": param, "value": chosen, "bind": menu}


def _quantity(field: str, title: str | None = None) -> dict[str, Any]:
    return {"field": field, "type": "quantitative", "title": title}


def _texts(value: Coefficient) -> list[str]:
    """A coefficient as it is shown and, where that is rounded, as it is: `["−0.001193", "−59643/50000000"]`."""
    exact = format_coefficient(value).replace("-", "−")
    shown = f"{float(value):.{DIGITS}g}".replace("-", "−")
    return [exact] if len(exact) <= DIGITS + 3 and "/" not in exact else [shown, exact]


def _short(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.{DIGITS}g}")
