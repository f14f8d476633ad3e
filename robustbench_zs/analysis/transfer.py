"""How far adversarial examples of zero-stable and of non-zero-stable networks fool one another."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from robustbench_zs.analysis.resampling import Floats, percentile_interval
from robustbench_zs.analysis.words import signed

VERDICTS = {True: "zero-stable", False: "non-zero-stable"}
RESAMPLES = 2000
MIN_ON_A_SIDE = 3
"""With fewer schemes on a side no interval is given."""


def with_fooled(transfers: pd.DataFrame) -> pd.DataFrame:
    """The rows of `transfer_rows` with `fooled`: of the images that are right when clean, the percentage that the examples
    fool; null where none is right."""
    return transfers.assign(
        fooled=100 * transfers["drop"] / transfers["clean_accuracy"].where(transfers["clean_accuracy"] > 0)
    )


def transfer_matrix(transfers: pd.DataFrame) -> pd.DataFrame:
    """`fooled`, a row per network that was attacked, a column per network that saw the examples, in the order of appearance.

    Networks go by their scheme where each has one of its own.
    """
    name = "scheme" if transfers.drop_duplicates("network")["scheme"].dropna().is_unique else "network"
    name = name if transfers[name].notna().all() else "network"
    order = list(dict.fromkeys(transfers[name]))
    table = with_fooled(transfers).pivot_table(
        index=f"source_{name}", columns=name, values="fooled", aggfunc="mean", dropna=False
    )
    return table.reindex(index=[n for n in order if n in table.index], columns=order)


def transfer_by_verdict(transfers: pd.DataFrame) -> pd.DataFrame:
    """Mean of `fooled` over pairs of two networks, by the verdicts on both, and what one direction exceeds the other by.

    The 95% intervals resample the schemes of each side, a scheme being source and target alike; they are null below
    `MIN_ON_A_SIDE` schemes on a side that takes part.

    Returns:
        Columns `examples_of`, `shown_to`, `fooled`, `fooled_low`, `fooled_high`, `pairs`; the last row, with `examples_of`
        "difference", is non-zero-stable to zero-stable less the reverse.
    """
    pairs = with_fooled(transfers)
    pairs = pairs[pairs["network"] != pairs["source_network"]].dropna(subset=["fooled"])
    pairs = pairs[pairs["zero_stable"].notna() & pairs["source_zero_stable"].notna()]
    schemes = list(dict.fromkeys([*pairs["source_scheme"], *pairs["scheme"]]))
    stable = dict(zip(pairs["scheme"], pairs["zero_stable"], strict=True))
    stable |= dict(zip(pairs["source_scheme"], pairs["source_zero_stable"], strict=True))
    sides = {v: [i for i, s in enumerate(schemes) if stable[s] == v] for v in (True, False)}
    weights = _resampled(list(sides.values()), len(schemes))
    place = {s: i for i, s in enumerate(schemes)}
    source, target = (np.array([place[s] for s in pairs[c]], np.intp) for c in ("source_scheme", "scheme"))
    fooled = pairs["fooled"].to_numpy(float)
    rows, means = [], {}
    for of, to in product((False, True), repeat=2):
        here = np.array([stable[s] == of for s in pairs["source_scheme"]], bool) & np.array(
            [stable[s] == to for s in pairs["scheme"]], bool
        )
        if not here.any():
            continue
        w = weights[:, source[here]] * weights[:, target[here]]
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = (w @ fooled[here]) / w.sum(1)
        enough = min(len(sides[of]), len(sides[to])) >= MIN_ON_A_SIDE
        means[of, to] = float(fooled[here].mean()), drawn
        low, high = percentile_interval(drawn) if enough else (None, None)
        rows.append(_row(VERDICTS[of], VERDICTS[to], means[of, to][0], low, high, int(here.sum())))
    if (False, True) in means and (True, False) in means:
        (there, drawn_there), (back, drawn_back) = means[False, True], means[True, False]
        count = int((pairs["zero_stable"].astype(bool) & ~pairs["source_zero_stable"].astype(bool)).sum())
        enough = min(map(len, sides.values())) >= MIN_ON_A_SIDE
        low, high = percentile_interval(drawn_there - drawn_back) if enough else (None, None)
        rows.append(_row("difference", "", there - back, low, high, count))
    return pd.DataFrame(rows, columns=["examples_of", "shown_to", "fooled", "fooled_low", "fooled_high", "pairs"])


def _resampled(sides: list[list[int]], schemes: int) -> Floats:
    """How often each scheme is drawn, resamples × schemes; each side is resampled for itself."""
    generator = np.random.default_rng(0)
    weights = np.zeros((RESAMPLES, schemes))
    for side in sides:
        if side:
            weights[:, side] = generator.multinomial(len(side), [1 / len(side)] * len(side), RESAMPLES)
    return weights


def _row(of: str, to: str, fooled: float, low: float | None, high: float | None, pairs: int) -> dict[str, object]:
    return {"examples_of": of, "shown_to": to, "fooled": fooled, "fooled_low": low, "fooled_high": high, "pairs": pairs}


def transfer_sentence(summary: pd.DataFrame) -> str | None:
    """What the last row of `transfer_by_verdict` says; None where there is no such row."""
    if summary.empty or summary["examples_of"].iloc[-1] != "difference":
        return None
    cell = {(r["examples_of"], r["shown_to"]): r["fooled"] for _, r in summary.iterrows()}
    there, back = cell["non-zero-stable", "zero-stable"], cell["zero-stable", "non-zero-stable"]
    last = summary.iloc[-1]
    if pd.isna(last["fooled_low"]):
        finding = "too few schemes for an interval"
    else:
        bounds = f"[{signed(last['fooled_low'])}, {signed(last['fooled_high'])}]"
        sure = last["fooled_low"] > 0 or last["fooled_high"] < 0
        finding = f"a difference of {signed(last['fooled'])} points {bounds}, "
        finding += "by an interval that is not adjusted for the other outcomes" if sure else "within noise"
    return (
        f"Examples made on non-zero-stable networks fool zero-stable ones for {there:.1f}% of the images that these "
        f"classify correctly, and the reverse for {back:.1f}%: {finding}."
    )
