"""Gradient masking: whether attacks fail because gradients mislead them, in named checks.

A network whose loss saturates or whose features explode can look robust because its gradients vanish (Athalye, Carlini,
Wagner 2018, §3; Croce and Hein 2020). Every check compares two attacks on the same images or counts images, and flags only
what chance does not explain: a one-sided exact test at level `ALPHA` and, where two attacks are compared, a difference of
`MIN_EFFECT` at the least. With fewer than `MIN_IMAGES` images there is no decision.

| check | flagged when |
|---|---|
| `zero_gradients` | more than `MAX_UNUSABLE` of the images have a gradient of the loss that is not finite or vanishes |
| `fgsm_beats_pgd` | FGSM fools more images than PGD at the same ε |
| `not_falling` | more than `MAX_UNBOUNDED` of the images withstand PGD at ε = 0.5, where all can be made plain grey |
| `more_steps_do_not_help` | so many withstand even four times the steps there, and PGD's steps fool hardly more by it |
| `black_box_wins` | Square, which asks for no gradient, fools more images than PGD at the same ε |
| `loss_scale_sensitivity` | PGD fools more images once the logits are rescaled, which changes no decision |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest

from robustbench_zs.evaluation.questions.masking import MIN_IMAGES, MORE_STEPS, UNBOUNDED, Evidence
from robustbench_zs.perturbations.numbers import format_number

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.01
"""Level of the one-sided exact test behind each check, not adjusted for their number."""

MIN_EFFECT = 0.02
"""Share of the images by which one attack must surpass another."""

MAX_UNUSABLE = 0.05
"""Share of images without a usable gradient that is let pass."""

MAX_UNBOUNDED = 0.05
"""Share of images standing at ε = 0.5 that is let pass."""

CHECKS = (
    "zero_gradients",
    "fgsm_beats_pgd",
    "not_falling",
    "more_steps_do_not_help",
    "black_box_wins",
    "loss_scale_sensitivity",
)


MASKING_COLUMNS = ["network", "seed", "check", "flagged", "finding"]


@dataclass(frozen=True)
class MaskingCheck:
    """One check of one network; `flagged` is None where it was not made, and the sentence says why, else what was found."""

    name: str
    flagged: bool | None
    sentence: str


def masking_checks(evidence: Evidence) -> list[MaskingCheck]:
    """The six checks of `CHECKS`, in that order; for the thresholds see the module."""
    n, eps = evidence.images, format_number(evidence.eps)
    if n < MIN_IMAGES:
        words = "no image is" if n == 0 else "only 1 image is" if n == 1 else f"only {n} images are"
        reason = f"{words} classified correctly, and at least {MIN_IMAGES} are needed"
        return [MaskingCheck(name, None, reason) for name in CHECKS]
    unusable = n - sum(evidence.usable_gradients)
    unbounded, longer = (sum(evidence.standing[a]) for a in ("unbounded pgd", "longer unbounded pgd"))
    standing = _more_than(unbounded, n, MAX_UNBOUNDED)
    steps = f"{evidence.steps} steps at ε = {UNBOUNDED}"
    return [
        MaskingCheck(
            "zero_gradients", _more_than(unusable, n, MAX_UNUSABLE), f"{unusable} of {n} images have no usable gradient"
        ),
        _stronger(evidence, "fgsm_beats_pgd", "fgsm", "FGSM", f"at ε = {eps}"),
        MaskingCheck("not_falling", standing, f"{unbounded} of {n} images withstand {steps}"),
        MaskingCheck(
            "more_steps_do_not_help",
            standing and _more_than(longer, n, MAX_UNBOUNDED) and unbounded - longer < MIN_EFFECT * n,
            f"{unbounded} of {n} images withstand {steps}, {longer} withstand {MORE_STEPS * evidence.steps}",
        ),
        _stronger(evidence, "black_box_wins", "square", f"Square with {evidence.queries} queries", f"at ε = {eps}"),
        _stronger(evidence, "loss_scale_sensitivity", "rescaled pgd", "PGD on rescaled logits", f"at ε = {eps}"),
    ]


def _more_than(count: int, n: int, share: float) -> bool:
    return bool(binomtest(count, n, share, alternative="greater").pvalue < ALPHA)


def _stronger(evidence: Evidence, check: str, attack: str, name: str, where: str) -> MaskingCheck:
    """Whether an attack that PGD should match fools more images than PGD: exact McNemar on the discordant ones."""
    by_it, by_pgd = (~np.array(evidence.standing[a], np.bool_) for a in (attack, "pgd"))
    it_alone, pgd_alone = int((by_it & ~by_pgd).sum()), int((by_pgd & ~by_it).sum())
    discordant = it_alone + pgd_alone
    certain = discordant > 0 and binomtest(it_alone, discordant, alternative="greater").pvalue < ALPHA
    return MaskingCheck(
        check,
        bool(certain and it_alone - pgd_alone >= MIN_EFFECT * evidence.images),
        f"{name} {where} fools {by_it.sum()} of {evidence.images} images, PGD {by_pgd.sum()}",
    )


def masking_rows(network: str, seed: int | None, checks: Sequence[MaskingCheck]) -> list[dict[str, object]]:
    """One row per check with the columns `MASKING_COLUMNS`."""
    return [{"network": network, "seed": seed, "check": c.name, "flagged": c.flagged, "finding": c.sentence} for c in checks]


def flagged_networks(masking: pd.DataFrame) -> dict[str, list[str]]:
    """Name of each network with a flag → the checks that raised it.

    Args:
        masking: rows of `masking_rows`.
    """
    raised = masking[masking["flagged"].eq(True)]
    return {str(name): list(dict.fromkeys(group["check"])) for name, group in raised.groupby("network", sort=False)}


def masking_sentences(masking: pd.DataFrame) -> list[str]:
    """What was found: every flag with its finding; where there is none, that; and what was not checked, with the reason."""
    if masking.empty:
        return ["Gradients were not checked: see `zsbench masking`."]
    raised = masking[masking["flagged"].eq(True)]
    sentences = [f"`{r['network']}`: {r['check'].replace('_', ' ')}: {r['finding']}." for _, r in raised.iterrows()]
    if not len(raised):
        made = int(masking["flagged"].notna().sum())
        sentences.append(
            f"No flag in {made} checks of {masking['network'].nunique()} networks." if made else "No check was made."
        )
    for reason, group in masking[masking["flagged"].isna()].groupby("finding", sort=False):
        names = ", ".join(dict.fromkeys(group["check"].str.replace("_", " ")))
        sentences.append(f"Not checked for {group['network'].nunique()} networks ({names}): {reason}.")
    return sentences
