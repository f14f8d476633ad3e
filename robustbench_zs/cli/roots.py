"""`zsbench roots`: roots, moduli, root condition, consistency."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robustbench_zs.cli.command import PICTURE_FILE, Command, output_options
from robustbench_zs.cli.output import Output, moduli, plain_rows, text, yes_no
from robustbench_zs.cli.table import room
from robustbench_zs.errors import RequestError
from robustbench_zs.system.files import write_atomically

if TYPE_CHECKING:
    from robustbench_zs.schemes import MultistepScheme


@click.command(cls=Command)
@click.argument("alphas", nargs=-1, metavar="[ALPHA]...")
@click.option("--beta", metavar="B", help="Coefficient of the residual, without which consistency is not judged.")
@click.option("--name", metavar="SCHEME", help="A scheme by name, such as zerosnet-opt or lm:k=0.5.")
@click.option("--alpha", metavar="A", help="The scheme of eq. 7 with this α.")
@click.option("--k", metavar="K", help="The scheme of eq. 8 with this k and the consistent β = 1 + k.")
@click.option("--lambda", "lambda_", metavar="L", help="The scheme of eq. 10 with this λ.")
@click.option("--catalog", is_flag=True, help="Every scheme of the paper's Tables 1, 2 and 10.")
@click.option(
    "--depth",
    type=int,
    metavar="D",
    help="Add amplification and noise gain in a network of D layers, and what the atlas predicts for it.",
)
@click.option("--plot", type=PICTURE_FILE, metavar="FILE", help="Draw the roots and the unit circle as PNG, SVG or PDF.")
@output_options
def roots(
    alphas: tuple[str, ...],
    beta: str | None,
    name: str | None,
    alpha: str | None,
    k: str | None,
    lambda_: str | None,
    catalog: bool,
    depth: int | None,
    plot: Path | None,
    output: Output,
) -> None:
    """Find the roots of a scheme and say what they mean.

    They are the roots of ρ^d − Σ α_i ρ^(d−1−i). The coefficients α_0 α_1 … are decimals or fractions and are taken exactly.

    \b
    zsbench roots 1/3 5/9 1/9 --beta 16/9
    zsbench roots 2 -1
    zsbench roots --name table10-5
    zsbench roots --catalog --format json
    zsbench roots --catalog --depth 56

    With --depth, the prediction of the atlas comes from a model of two quantities of the scheme that was fitted to its
    discovery half; the intervals contain 95% of the schemes of its confirmation half. It applies to networks like those of
    the atlas, which are narrow and saw few images: see the studies `atlas-digits`, `atlas-mnist`, `atlas-cifar10`.
    """
    from robustbench_zs.schemes.table import roots_table

    by_name = {"{}": name, "preresnet:alpha={}": alpha, "lm:k={}": k, "zerosnet:lambda={}": lambda_}
    names = [scheme.format(value) for scheme, value in by_name.items() if value is not None]
    schemes = _schemes(alphas, beta, names, catalog)
    blocks = None if depth is None else _blocks(depth)
    if plot is not None:
        _plot(schemes, plot)
    columns: dict[str, Any] = {
        "Scheme": text("scheme"),
        "α": lambda row: ", ".join(row["alphas"]),
        "β": text("beta"),
        "Roots": lambda row: ", ".join(_complex(r) for r in row["roots"]),
        "Moduli": moduli,
        "Zero-stable": yes_no("zero_stable"),
        "Consistent": yes_no("consistent"),
        "Σα − 1": text("sum_defect"),
        "Required β": text("required_beta"),
    }
    if blocks is not None:
        columns |= {
            "Sup |g|": _significant("impulse_supremum"),
            "Eff. depth": _significant("effective_depth"),
            "Amplification": _significant("amplification"),
            "Noise gain": _significant("noise_gain"),
        }
    if all(scheme.name is None for scheme in schemes):
        del columns["Scheme"]
    rows = plain_rows(roots_table(schemes, blocks))
    if depth is not None:
        from robustbench_zs.analysis.forecast import forecasts

        for row, scheme in zip(rows, schemes, strict=True):
            row["atlas"] = [asdict(forecast) for forecast in forecasts(scheme, depth)]
    output.emit(rows, columns)
    if output.file is None and output.kind == "table":
        for row in rows:
            for line in _forecast_lines(row.get("atlas", []), f"{row['scheme']}: " if len(rows) > 1 else ""):
                hint = " (give it with --beta)" if row["beta"] is None else ""
                click.echo(textwrap.fill(line + hint, room(), subsequent_indent="  "))


def _forecast_lines(forecasts: list[dict[str, Any]], name: str) -> list[str]:
    """What the atlas predicts for a scheme, one line per dataset."""
    if not forecasts:
        return []
    if all(found["outside"] for found in forecasts):
        return [f"{name}outside of what the atlas covers: {forecasts[0]['outside']}"]
    words = {"clean_accuracy": ("clean accuracy", ".1f", "%"), "smallest_eps": ("mean smallest ε", ".4f", "")}
    lines: dict[str, list[str]] = {}
    for found in forecasts:
        what, digits, unit = words[found["outcome"]]
        text = f"outside ({found['outside']})" if found["value"] is None else f"{found['value']:{digits}}{unit}"
        if found["low"] is not None:
            text += f" [{found['low']:{digits}}, {found['high']:{digits}}]"
        lines.setdefault(found["dataset"], []).append(f"{what} {text}")
    return [f"{name}the atlas predicts on {dataset}: {', '.join(parts)}" for dataset, parts in lines.items()]


def _schemes(alphas: tuple[str, ...], beta: str | None, names: list[str], catalog: bool) -> list[MultistepScheme]:
    from robustbench_zs import schemes

    if bool(alphas) + len(names) + catalog != 1:
        raise RequestError(
            "give exactly one of coefficients ALPHA…, --name SCHEME, --alpha A, --k K, --lambda L or --catalog, "
            "for example `zsbench roots 1/3 5/9 1/9 --beta 16/9`"
        )
    if beta is not None and not alphas:
        raise RequestError("--beta requires coefficients ALPHA…: a named scheme has its own β")
    if alphas:
        return [schemes.MultistepScheme(alphas, beta)]
    return [schemes.scheme_from_name(name) for name in names] or list(schemes.catalog().values())


def _blocks(depth: int) -> int:
    from robustbench_zs.networks.spec import default_block, stages_of

    return sum(stages_of(depth, default_block(depth)))


def _plot(schemes: list[MultistepScheme], path: Path) -> None:
    from robustbench_zs.reporting.comparison import picture
    from robustbench_zs.reporting.root_figures import roots_in_the_plane

    write_atomically(path, picture(roots_in_the_plane({s.name or str(s): s for s in schemes}), path))


def _significant(key: str) -> Callable[[Any], str]:
    return lambda row: "–" if row[key] is None else f"{row[key]:.3g}"


def _complex(pair: list[float]) -> str:
    real, imaginary = pair
    return f"{real:.3g}" if not imaginary else f"{real:.3g}{imaginary:+.3g}i"
