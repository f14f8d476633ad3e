"""The interactive page of an atlas: point at a scheme, see its roots, its impulse response and what it achieves.

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
from robustbench_zs.schemes import MultistepScheme, format_coefficient, impulse_response
from robustbench_zs.schemes.atlas import atlas_scheme
from robustbench_zs.system.files import write_atomically

AXES = ("noise_gain", "largest_modulus", "log_modulus", "parasitic_modulus", "impulse_supremum", "last_share")
DIGITS = 4
TICKS = [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 100, 300, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e10]
"""Vega's own for such a scale crowd at its far end."""


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
                "coefficients": _coefficients(scheme),
                "re": [_short(root.real) for root in scheme.roots],
                "im": [_short(root.imag) for root in scheme.roots],
                "g": [_short(value) for value in impulse_response(scheme, blocks)],
                **numbers,
            }
        )
    return rows


def specification(rows: list[dict[str, Any]], outcomes: list[str]) -> dict[str, Any]:
    """The page as a Vega-Lite specification."""
    names = {f"n{i}": words for i, words in enumerate([*outcomes, *(PREDICTORS[name] for name in AXES)])}
    keys = list(names)
    vertical, horizontal = keys[: len(outcomes)], keys[len(outcomes) :]
    picked = {"filter": {"param": "picked", "empty": False}}
    colour = {
        "field": "verdict",
        "scale": {"domain": ["zero-stable", "not zero-stable"], "range": ["#0072B2", "#D55E00"]},
        "legend": {"orient": "top", "title": None},
    }
    tooltip = [{"field": name} for name in ("scheme", "half", "coefficients")]
    points = {
        "width": 560,
        "height": 340,
        "transform": [{"calculate": f"datum[{axis}]", "as": axis} for axis in ("horizontal", "vertical")],
        "params": [
            {
                "name": "picked",
                "value": [{"scheme": rows[0]["scheme"]}],
                "select": {"type": "point", "fields": ["scheme"], "on": "pointerover", "nearest": True, "clear": False},
            }
        ],
        "mark": {"type": "point", "filled": True, "size": 45},
        "encoding": {
            "x": {
                **_quantity("horizontal", "the quantity chosen above"),
                "scale": {"type": "symlog", "zero": False},
                "axis": {"values": TICKS, "format": "~g", "labelOverlap": True},
            },
            "y": {
                "field": "vertical",
                "type": "quantitative",
                "scale": {"zero": False},
                "title": "the outcome chosen above",
            },
            "color": colour,
            "opacity": {"condition": {"param": "picked", "empty": False, "value": 1}, "value": 0.35},
            "size": {"condition": {"param": "picked", "empty": False, "value": 160}, "value": 30},
            "tooltip": tooltip,
        },
    }
    circle = {
        "data": {"sequence": {"start": 0, "stop": 6.3, "step": 0.05, "as": "t"}},
        "transform": [{"calculate": "cos(datum.t)", "as": "x"}, {"calculate": "sin(datum.t)", "as": "y"}],
        "mark": {"type": "line", "color": "#999999", "strokeWidth": 1},
        "encoding": {"x": _quantity("x"), "y": _quantity("y"), "order": {"field": "t"}},
    }
    plane = {"domain": [-2.6, 2.6]}
    roots = {
        "transform": [picked, {"flatten": ["re", "im"]}],
        "mark": {"type": "point", "filled": True, "size": 70},
        "encoding": {
            "x": {**_quantity("re", "real part"), "scale": plane},
            "y": {**_quantity("im", "imaginary part"), "scale": plane},
            "color": colour,
        },
    }
    impulse = {
        "width": 300,
        "height": 160,
        "title": "Impulse response",
        "transform": [picked, {"flatten": ["g"]}, {"window": [{"op": "row_number", "as": "k"}]}],
        "mark": {"type": "bar", "width": 5},
        "encoding": {
            "x": _quantity("k", "block"),
            "y": {**_quantity("g", "g"), "scale": {"type": "symlog"}},
            "color": colour,
        },
    }
    facts = {
        "width": 560,
        "height": 15 * (len(keys) + 2),
        "transform": [
            picked,
            {"fold": ["scheme", "coefficients", *keys]},
            {"calculate": "names[datum.key] || datum.key", "as": "words"},
            {"window": [{"op": "row_number", "as": "line"}]},
        ],
        "encoding": {"y": {"field": "line", "type": "ordinal", "axis": None}},
        "layer": [
            {"mark": {"type": "text", "align": "left", "x": 0}, "encoding": {"text": {"field": "words"}}},
            {
                "mark": {"type": "text", "align": "right", "x": "width", "fontWeight": "bold", "limit": 400},
                "encoding": {"text": {"field": "value"}},
            },
        ],
        "view": {"stroke": None},
    }
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"values": rows},
        "params": [
            {"name": "names", "value": names | {"coefficients": " "}},  # they leave no room for a name
            _choice("vertical", "Outcome ", {key: names[key] for key in vertical}, SMALLEST_EPS),
            _choice("horizontal", "Against ", {key: names[key] for key in horizontal}),
        ],
        "usermeta": {"width": 1000},
        "columns": 2,
        "align": "each",
        "concat": [
            {"vconcat": [points, facts]},
            {
                "vconcat": [
                    {"width": 300, "height": 300, "title": "Roots and the unit circle", "layer": [circle, roots]},
                    impulse,
                ]
            },
        ],
        "config": {"background": "transparent", "font": "system-ui, sans-serif"},
    }


def _choice(param: str, label: str, options: dict[str, str], first: str = "") -> dict[str, Any]:
    """A menu of axes; what is called `first` is chosen at the beginning, where it is among them."""
    chosen = next((key for key, name in options.items() if name == first), next(iter(options)))
    menu = {"input": "select", "options": [*options], "labels": [*options.values()], "name": label}
    return {"name": param, "value": chosen, "bind": menu}


def _quantity(field: str, title: str | None = None) -> dict[str, Any]:
    return {"field": field, "type": "quantitative", "title": title}


def _coefficients(scheme: MultistepScheme) -> str:
    beta = "–" if scheme.beta is None else format_coefficient(scheme.beta)
    return f"α = {', '.join(map(format_coefficient, scheme.alphas))}; β = {beta}"


def _short(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.{DIGITS}g}")
