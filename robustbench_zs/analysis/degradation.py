"""How much accuracy perturbations cost zero-stable and non-zero-stable networks."""

from __future__ import annotations

import pandas as pd

from robustbench_zs.analysis.comparability import check_comparable
from robustbench_zs.analysis.network_outcomes import DROP, RELATIVE_DROP, SHARE_LOST
from robustbench_zs.analysis.summary import by_scheme


def degradation_by_verdict(results: pd.DataFrame) -> pd.DataFrame:
    """Mean drop (points) of zero-stable and of non-zero-stable networks under each perturbation, as §5.3 compares them.

    The mean is taken over seeds first, then over networks, so that each scheme counts once. Networks without a verdict are
    left out. A side without networks is null, and so is the difference then.

    Returns:
        One row per perturbation: `perturbation`, `non_zero_stable`, `zero_stable` (mean drops), `difference` (the former −
        the latter), `non_zero_stable_networks`, `zero_stable_networks` (numbers of networks, seeds counted once).

    Raises:
        RequestError: the results come from different images or recipes, see `check_comparable`.
    """
    check_comparable(results)
    schemes = by_scheme(results, "drop")
    rows = []
    for perturbation, group in schemes.groupby("perturbation", sort=False):
        known = group.dropna(subset=["zero_stable"])
        stable = known["zero_stable"].astype(bool)
        sides = {"non_zero_stable": known.loc[~stable, "mean"], "zero_stable": known.loc[stable, "mean"]}
        means = {name: float(side.mean()) if len(side) else None for name, side in sides.items()}
        low, high = means["zero_stable"], means["non_zero_stable"]
        rows.append(
            {
                "perturbation": perturbation,
                **means,
                "difference": None if low is None or high is None else high - low,
                **{f"{name}_networks": len(side) for name, side in sides.items()},
            }
        )
    return pd.DataFrame(rows)


def losses_by_verdict(outcomes: pd.DataFrame) -> pd.DataFrame:
    """What perturbations cost zero-stable and non-zero-stable networks: drops, shares lost and relative drops.

    Means as in `degradation_by_verdict`.

    Args:
        outcomes: see `network_outcomes`.

    Returns:
        One row per perturbation: `perturbation`, and the means `…_non_zero_stable` and `…_zero_stable` for each of `drop`,
        `share_lost` and `relative_drop` (null under attacks).
    """
    kinds = {kind: kind.replace(" ", "_") for kind in (DROP, SHARE_LOST, RELATIVE_DROP)}
    frame = outcomes[outcomes["kind"].isin(kinds) & outcomes["zero_stable"].notna()]
    frame = frame.assign(
        perturbation=[outcome.partition(", ")[2] for outcome in frame["outcome"]],
        column=[
            f"{kinds[kind]}_{'zero_stable' if stable else 'non_zero_stable'}"
            for kind, stable in zip(frame["kind"], frame["zero_stable"], strict=True)
        ],
    )
    networks = frame.groupby(["perturbation", "column", "network"], sort=False)["value"].mean()
    wide = networks.groupby(["perturbation", "column"], sort=False).mean().unstack("column")
    columns = [f"{kind}_{side}" for kind in kinds.values() for side in ("non_zero_stable", "zero_stable")]
    order = list(dict.fromkeys(frame["perturbation"]))
    return wide.reindex(index=order, columns=columns).rename_axis("perturbation").reset_index()
