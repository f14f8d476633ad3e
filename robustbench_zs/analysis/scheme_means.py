"""The unit of every conclusion: one row per scheme, the means over its networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t

from robustbench_zs.analysis.predictors import PREDICTORS, NetworkPredictors, network_predictors, round_significant
from robustbench_zs.analysis.reliability import reliability
from robustbench_zs.analysis.resampling import Floats, Indices


@dataclass(frozen=True, eq=False)
class SchemeMeans:
    """n schemes in the order of their coefficients, so that nothing depends on the order of rows.

    Args:
        outcomes: one row per outcome: `outcome` (the index), `kind`, `family`, `reliability` (null: one seed), `networks`.
        values: n × outcomes, the mean over depths of the means over seeds; NaN where unknown.
        shared: the same on images that nearly all networks classify correctly.
        clean: n, mean clean accuracy.
        predictors: n × `PREDICTORS`, means over depths; NaN where one cannot be computed.
        zero_stable: n, 1 or 0.
        strata: n; schemes of one stratum have networks of the same depths, blocks and widths and are exchanged with one
            another.
        names: n, of one network of each scheme, as far as its colon: the name of the scheme where it has one.
    """

    outcomes: pd.DataFrame
    values: Floats
    shared: Floats
    clean: Floats
    predictors: Floats
    zero_stable: Floats
    strata: Indices
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.clean)


def scheme_means(outcomes: pd.DataFrame) -> SchemeMeans:
    """The scheme means of the outcomes that belong to a family; networks whose scheme is unknown are left out.

    Args:
        outcomes: see `network_outcomes`.
    """
    known = _known(outcomes.drop_duplicates("network"))
    frame = outcomes[outcomes["family"].notna() & outcomes["network"].isin(known)]
    frame = frame.assign(scheme=[known[network].scheme for network in frame["network"]])
    order = list(dict.fromkeys(frame["outcome"]))
    table = frame.drop_duplicates("outcome").set_index("outcome")[["kind", "family"]]
    schemes = sorted(set(frame["scheme"]))

    def means(column: str) -> Floats:
        networks = frame.groupby(["scheme", "network", "outcome"])[column].mean()
        wide = networks.groupby(["scheme", "outcome"]).mean().unstack("outcome")
        return _rounded(wide.reindex(index=schemes, columns=order).to_numpy(float))

    clean = frame.groupby(["scheme", "network"])["clean_accuracy"].mean().groupby("scheme").mean().reindex(schemes)
    stable = frame.groupby("scheme")["zero_stable"].first().reindex(schemes)
    return SchemeMeans(
        outcomes=table.assign(reliability=_reliabilities(frame), networks=frame.groupby("outcome").size()),
        values=means("value"),
        shared=means("shared"),
        clean=_rounded(clean.to_numpy(float)),
        predictors=_predictors(known, schemes),
        zero_stable=stable.to_numpy(float),
        strata=_strata(known, schemes),
        names=tuple(str(name).partition(":")[0] for name in frame.groupby("scheme")["network"].min().reindex(schemes)),
    )


def scheme_points(outcomes: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """One outcome as it is drawn: one row per scheme.

    Args:
        outcomes: see `network_outcomes`.

    Returns:
        `network` (the first of the scheme), `zero_stable`, `value` (the mean over depths of the means over seeds), the
        `half_width` of its 95% interval by Student's t, and the columns `PREDICTORS`. The variance over seeds is taken to be
        the same for all networks and pooled over those with several seeds; NaN if none has several.
    """
    seeds = outcomes[outcomes["outcome"] == outcome].groupby("network", sort=False)
    frame = seeds.agg(
        moduli=("moduli", "first"),
        zero_stable=("zero_stable", "first"),
        value=("value", "mean"),
        variance=("value", "var"),
        seeds=("value", "size"),
    ).reset_index()
    free = frame["seeds"] - 1
    pooled = (free * frame["variance"].fillna(0)).sum() / free.sum() if free.sum() else np.nan
    reach = float(t.ppf(0.975, free.sum())) if free.sum() else np.nan
    known = _known(frame)
    frame = frame[frame["network"].isin(known)].assign(square=pooled / frame["seeds"])
    values = pd.DataFrame([known[network].values for network in frame["network"]], frame.index, [*PREDICTORS], dtype=float)
    schemes = frame.join(values).groupby([known[network].scheme for network in frame["network"]], sort=False)
    half = reach * schemes["square"].sum() ** 0.5 / schemes.size()
    points = schemes[["network", "zero_stable"]].first().join(schemes[["value", *PREDICTORS]].mean())
    return points.assign(half_width=half).reset_index(drop=True)


def _known(networks: pd.DataFrame) -> dict[str, NetworkPredictors]:
    """What is known of networks whose scheme is known, by name."""
    found = {n: network_predictors(n, m) for n, m in zip(networks["network"], networks["moduli"], strict=True)}
    return {network: facts for network, facts in found.items() if facts is not None}


def _reliabilities(frame: pd.DataFrame) -> pd.Series:
    """By outcome; a seed's value of a scheme is the mean over depths."""
    seeds = frame.assign(seed=frame["seed"].astype(str)).groupby(["scheme", "seed", "outcome"])["value"].mean()
    wide = seeds.unstack("outcome").reset_index()
    return reliability(wide.drop(columns=["scheme", "seed"]), wide["scheme"])


def _predictors(known: dict[str, NetworkPredictors], schemes: list[str]) -> Floats:
    by_scheme: dict[str, list[list[float | None]]] = {}
    for facts in known.values():
        by_scheme.setdefault(facts.scheme, []).append([facts.values[name] for name in PREDICTORS])
    rows = [np.asarray(by_scheme[scheme], float).mean(0) for scheme in schemes]
    return _rounded(np.reshape(rows, (len(schemes), len(PREDICTORS))))


def _strata(known: dict[str, NetworkPredictors], schemes: list[str]) -> Indices:
    cells: dict[str, set[object]] = {}
    for facts in known.values():
        cells.setdefault(facts.scheme, set()).add(facts.cell)
    numbers: dict[frozenset[object], int] = {}
    return np.array([numbers.setdefault(frozenset(cells[scheme]), len(numbers)) for scheme in schemes], np.intp)


def _rounded(values: Floats) -> Floats:
    """Means that are equal up to rounding are ties."""
    return np.array([round_significant(v) for v in values.ravel()], float).reshape(values.shape)
