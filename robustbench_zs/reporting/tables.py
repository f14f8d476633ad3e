"""The layouts of the paper's tables, and numbers as text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from robustbench_zs.analysis import Conclusions, by_scheme
from robustbench_zs.analysis.conclusions import NOTHING
from robustbench_zs.analysis.network_outcomes import SMALLEST_EPS
from robustbench_zs.analysis.predictors import MEANINGS, PREDICTORS
from robustbench_zs.analysis.words import capital, lead_text, p_text, share, share_interval, signed
from robustbench_zs.reporting.cells import estimate, interval, moduli_text, spread, verdict

GIVEN, SHARED = "ρ given accuracy", "ρ on shared images"
SECOND_LOOKS = (
    "Given accuracy means the partial ρ given the clean accuracy; shared images are those that at least 95% of the networks "
    "classify correctly."
)
"""Two column heads, and what they mean."""


def _first(results: pd.DataFrame, network: str) -> pd.Series:
    return results[results["network"] == network].iloc[0]


FLAG = "⚑"
"""Stands behind the robust accuracy of a network that a check for gradient masking flagged."""


def _mark(row: pd.Series, attacked: Collection[str], flagged: Collection[str]) -> str:
    return f" {FLAG}" if row["network"] in flagged and row["perturbation"] in attacked else ""


def _attacks(results: pd.DataFrame) -> set[str]:
    return set(results.loc[results["engine"].notna(), "perturbation"])


def table_6(results: pd.DataFrame, flagged: Collection[str] = ()) -> pd.DataFrame:
    """One row per network with its moduli and verdict, one column per perturbation: mean ± standard deviation over seeds.

    Args:
        flagged: networks whose accuracies under attacks get the mark `FLAG`.
    """
    cells, attacked = by_scheme(results, "accuracy"), _attacks(results)
    rows = []
    for network, group in cells.groupby("network", sort=False):
        first = _first(results, str(network))
        rows.append(
            {
                "Network": network,
                "Moduli of roots": moduli_text(first["moduli"]),
                "Zero-stable": verdict(first["zero_stable"]),
                **{
                    str(r["perturbation"]): spread(r["mean"], r["std"]) + _mark(r, attacked, flagged)
                    for _, r in group.iterrows()
                },
            }
        )
    return pd.DataFrame(rows)


def table_7(gaps: pd.DataFrame) -> pd.DataFrame:
    """One row per network: training and test accuracy and generalization gap, mean ± standard deviation over seeds."""
    parts = {c: by_scheme(gaps, c, ["network"]).set_index("network") for c in ("train_accuracy", "test_accuracy", "gap")}
    rows = []
    for network in dict.fromkeys(gaps["network"]):
        first = _first(gaps, network)
        rows.append(
            {
                "Network": network,
                "Moduli of roots": moduli_text(first["moduli"]),
                "Zero-stable": verdict(first["zero_stable"]),
                **{
                    title: spread(parts[column].loc[network, "mean"], parts[column].loc[network, "std"])
                    for title, column in (("Training", "train_accuracy"), ("Test", "test_accuracy"), ("Gap", "gap"))
                },
            }
        )
    return pd.DataFrame(rows)


def every_network(results: pd.DataFrame, flagged: Collection[str] = ()) -> pd.DataFrame:
    """Rows per network and seed, columns per perturbation: accuracy with its 95% Wilson interval; `flagged` as above."""
    rows = []
    attacked = _attacks(results)
    for (network, seed), group in results.groupby(["network", "seed"], sort=False):
        cells = {
            r["perturbation"]: f"{r['accuracy']:.1f} {interval(r['ci_low'], r['ci_high'])}{_mark(r, attacked, flagged)}"
            for _, r in group.iterrows()
        }
        rows.append({"Network": network, "Seed": seed, **cells})
    return pd.DataFrame(rows)


def masking_table(masking: pd.DataFrame) -> pd.DataFrame:
    """One row per network, one column per check: `ok`, `FLAG` or `–` where it was not made."""
    signs = {True: FLAG, False: "ok", None: "–"}
    rows = []
    for network, group in masking.groupby("network", sort=False):
        rows.append({"Network": network, **{r["check"].replace("_", " "): signs[r["flagged"]] for _, r in group.iterrows()}})
    return pd.DataFrame(rows)


def smallest_eps_table(curves: pd.DataFrame) -> pd.DataFrame:
    """One row per network: the ε that fool a quarter, half and three quarters of the images right when clean, over seeds."""
    rows = []
    for network, group in curves.groupby("network", sort=False):
        first, cells = group.iloc[0], {}
        for title, column in (("25%", "eps_25"), ("50%", "median_eps"), ("75%", "eps_75")):
            values = pd.to_numeric(group[column])
            beyond = f"> {first['eps'][-1]:.4f}"
            cells[title] = beyond if values.isna().any() else _fine(values)
        rows.append(
            {
                "Network": network,
                "Moduli of roots": moduli_text(first["moduli"]),
                "Zero-stable": verdict(first["zero_stable"]),
                **cells,
            }
        )
    return pd.DataFrame(rows)


def _fine(values: pd.Series) -> str:
    return f"{values.mean():.4f}" + (f" ± {values.std():.4f}" if len(values) > 1 else "")


def transfer_matrix_table(matrix: pd.DataFrame) -> pd.DataFrame:
    """A row per network that was attacked, a column per network that saw the examples; the network's own in bold."""
    rows = []
    for source, cells in matrix.iterrows():
        texts = {str(n): "–" if pd.isna(v) else f"**{v:.1f}**" if n == source else f"{v:.1f}" for n, v in cells.items()}
        rows.append({"Network": source, **texts})
    return pd.DataFrame(rows)


def transfer_by_verdict_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Rows of `transfer_by_verdict`."""
    return pd.DataFrame(
        {
            "Examples of": [capital(of) for of in summary["examples_of"]],
            "Shown to": [to or "–" for to in summary["shown_to"]],
            "Fooled, %": [
                estimate(*n, digits=1)
                for n in zip(summary["fooled"], summary["fooled_low"], summary["fooled_high"], strict=True)
            ],
            "Pairs": summary["pairs"],
        }
    )


def degradation_table(losses: pd.DataFrame) -> pd.DataFrame:
    """Mean drops in points, shares of right images lost in percent and relative drops of both sides."""
    titles = {"drop": "Drop", "share_lost": "Lost, %", "relative_drop": "Relative drop"}
    sides = {"non_zero_stable": "non-zero-stable", "zero_stable": "zero-stable"}
    return pd.DataFrame(
        {
            "Perturbation": losses["perturbation"],
            **{
                f"{title}, {words}": [spread(v, None) for v in losses[f"{kind}_{side}"]]
                for kind, title in titles.items()
                for side, words in sides.items()
            },
        }
    )


def correlation_table(relations: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation with its interval, p-values, its two checks, the reliability of the outcome, and what may be said."""
    cells = _relation_cells(relations)
    if relations["reliability"].isna().all():
        del cells["Reliability"]
    return pd.DataFrame({"Outcome": relations["outcome"], "Finding": relations["finding"], **cells})


def best_predictor_table(best: pd.DataFrame) -> pd.DataFrame:
    """The predictor that goes with each outcome most closely, and how it stands to another: rows of `Conclusions.best`."""
    cells = _relation_cells(best)
    table = {
        "Outcome": best["outcome"],
        "Best": ["–" if pd.isna(p) else capital(PREDICTORS[p]) for p in best["best"]],
        "Finding": best["finding"],
        **{column: cells[column] for column in ("ρ", "95% interval", "Adjusted p")},
    }
    if best["lead_low"].notna().any():
        table["Beside another"] = [
            "–" if pd.isna(row["best"]) or row["finding"] == NOTHING else capital(lead_text(row))
            for _, row in best.iterrows()
        ]
    return pd.DataFrame(table)


def _relation_cells(relations: pd.DataFrame) -> dict[str, Sequence[Any]]:
    return {
        "ρ": [share(v) for v in relations["rho"]],
        "95% interval": [share_interval(*n) for n in zip(relations["rho_low"], relations["rho_high"], strict=True)],
        GIVEN: [share(v) for v in relations["partial_rho"]],
        SHARED: [share(v) for v in relations["shared_rho"]],
        "p": [p_text(v) for v in relations["p"]],
        "Adjusted p": [
            "–" if pd.isna(p) else f"{p_text(p)} (of {n})"
            for p, n in zip(relations["adjusted"], relations["adjusted_of"], strict=True)
        ],
        "Reliability": [share(v) for v in relations["reliability"]],
        "Schemes": relations["schemes"].tolist(),
    }


def predictor_table(conclusions: Conclusions) -> pd.DataFrame:
    """Spearman's ρ of every predictor (a row) with every outcome (a column), the largest |ρ| of each outcome in bold."""
    best = dict(zip(conclusions.best["outcome"], conclusions.best["best"], strict=True))
    columns: dict[str, list[str]] = {"Quantity": list(PREDICTORS.values())}
    for outcome, group in conclusions.predictors.groupby("outcome", sort=False):
        cells = {p: share(rho) for p, rho in zip(group["predictor"], group["rho"], strict=True)}
        if pd.notna(best[outcome]):
            cells[best[outcome]] = f"**{cells[best[outcome]]}**"
        columns[str(outcome)] = [cells.get(p, "–") for p in PREDICTORS]
    return pd.DataFrame(columns)


def quantities_table() -> pd.DataFrame:
    """What every predictor measures."""
    return pd.DataFrame({"Quantity": list(PREDICTORS.values()), "What it measures": [MEANINGS[p] for p in PREDICTORS]})


def effect_table(effects: pd.DataFrame) -> pd.DataFrame:
    """Shift with its interval and Cliff's delta between non-zero-stable and zero-stable schemes, with p-values."""
    digits = [5 if kind == SMALLEST_EPS else 2 for kind in effects["kind"]]
    return pd.DataFrame(
        {
            "Outcome": effects["outcome"],
            "Shift": [
                estimate(*numbers)
                for numbers in zip(effects["shift"], effects["shift_low"], effects["shift_high"], digits, strict=True)
            ],
            "Cliff's delta": [share(v) for v in effects["cliffs_delta"]],
            "p": [p_text(v) for v in effects["p"]],
            "Adjusted p": [
                "–" if pd.isna(p) else f"{p_text(p)} (of {n})"
                for p, n in zip(effects["adjusted"], effects["adjusted_of"], strict=True)
            ],
            "Schemes": [
                f"{a} and {b}"
                for a, b in zip(effects["non_zero_stable_schemes"], effects["zero_stable_schemes"], strict=True)
            ],
            "Finding": effects["finding"],
        }
    )


def differences_table(cells: pd.DataFrame) -> pd.DataFrame:
    """One row per network, one column per outcome: our number minus the paper's."""
    wide = cells.pivot(index="network", columns="outcome", values="difference")
    wide = wide.loc[list(dict.fromkeys(cells["network"])), list(dict.fromkeys(cells["outcome"]))]
    return wide.map(lambda v: "–" if pd.isna(v) else signed(v)).rename_axis("Network").reset_index()


def against_paper_table(cells: pd.DataFrame) -> pd.DataFrame:
    """The paper's and our mean ± standard deviation, their difference, and what it says."""
    several = {"Dataset": cells["dataset"]} if cells["dataset"].nunique() > 1 else {}
    return pd.DataFrame(
        {
            "Network": cells["network"],
            **several,
            "Outcome": cells["outcome"],
            "Paper": [spread(m, s) for m, s in zip(cells["paper_mean"], cells["paper_std"], strict=True)],
            "Here": [spread(m, s) for m, s in zip(cells["mean"], cells["std"], strict=True)],
            "Difference": [spread(d, None) for d in cells["difference"]],
            "Finding": cells["verdict"],
        }
    )
