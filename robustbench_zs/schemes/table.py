"""Roots, moduli and verdicts of schemes as rows: what `zsbench roots` prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from robustbench_zs.schemes.amplification import amplification_over
from robustbench_zs.schemes.atlas import HALVES, atlas_names, atlas_scheme
from robustbench_zs.schemes.coefficients import Coefficient, format_coefficient
from robustbench_zs.schemes.gains import gains_over
from robustbench_zs.schemes.measured import measured
from robustbench_zs.schemes.scheme import MultistepScheme

if TYPE_CHECKING:
    import pandas as pd


def roots_row(scheme: MultistepScheme) -> dict[str, Any]:
    """Coefficients as text, roots as (real, imaginary) pairs by descending modulus, moduli, verdicts, defects.

    `consistent` and `beta_defect` are None without β; `principal_root` is a pair; `parasitic_modulus` is None for d = 1.
    """
    sum_defect, beta_defect = scheme.consistency_defects

    def text(value: Coefficient | None) -> str | None:
        return None if value is None else format_coefficient(value)

    return {
        "schema_version": 1,
        "scheme": scheme.name,
        "alphas": [format_coefficient(a) for a in scheme.alphas],
        "beta": text(scheme.beta),
        "roots": [[r.real, r.imag] for r in scheme.roots],
        "moduli": list(scheme.moduli),
        "principal_root": [scheme.principal_root.real, scheme.principal_root.imag],
        "parasitic_modulus": max(map(abs, scheme.parasitic_roots), default=None),
        "zero_stable": scheme.zero_stable,
        "consistent": scheme.consistent,
        "sum_defect": text(sum_defect),
        "beta_defect": text(beta_defect),
        "required_beta": text(scheme.required_beta),
    }


def scheme_columns(scheme: MultistepScheme | None) -> dict[str, Any]:
    """`moduli` (descending) and `zero_stable`; None where the scheme is unknown."""
    return {
        "moduli": None if scheme is None else list(scheme.moduli),
        "zero_stable": None if scheme is None else scheme.zero_stable,
    }


def roots_table(schemes: Iterable[MultistepScheme], blocks: int | None = None) -> pd.DataFrame:
    """One row per scheme, see `roots_row`; given a number of residual blocks, also `blocks` and, over these, the fields of
    `amplification.Amplification` and `gains.Gains`.

    Raises:
        RequestError: fewer than one block.

    Examples:
        >>> table = zs.roots_table([zs.scheme_from_name("table10-5")], blocks=27)
        >>> table.loc[0, "zero_stable"], round(table.loc[0, "amplification"], 2)
        (True, 9.88)
    """
    import pandas as pd

    return pd.DataFrame([roots_row(scheme) | _over(scheme, blocks) for scheme in schemes], dtype=object)


def atlas(blocks: int | None = None) -> pd.DataFrame:
    """The schemes of the atlas as `roots_table` gives them, with `half` (discovery or confirmation) and what was measured.

    The columns of each dataset of the atlas, such as `digits_clean_accuracy`, are described in `schemes.measured`; they are
    null for schemes that were not trained there.

    Args:
        blocks: number of residual blocks, 27 in a network of 56 layers, 9 in one of 20.

    Examples:
        >>> zs.atlas()["half"].value_counts().to_dict()
        {'discovery': 400, 'confirmation': 400}
    """
    names = {name: half for half in HALVES for name in atlas_names(half)}
    table = roots_table(map(atlas_scheme, names), blocks)
    table.insert(2, "half", list(names.values()))
    for dataset, rows in measured().items():
        for column in next(iter(rows.values())):
            table[f"{dataset}_{column}"] = [rows.get(name, {}).get(column) for name in names]
    return table


def _over(scheme: MultistepScheme, blocks: int | None) -> dict[str, Any]:
    if blocks is None:
        return {}
    return {"blocks": blocks, **asdict(amplification_over(scheme, blocks)), **asdict(gains_over(scheme, blocks))}
