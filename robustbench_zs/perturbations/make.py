"""Attacks as users ask for them: by name, with one budget or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.attacks import (
    APGD,
    DEFAULT_APGD_STEPS,
    DEFAULT_ENGINE,
    DEFAULT_SEED,
    DEFAULT_STEPS,
    FGSM,
    LARGEST_EPS,
    PGD,
)
from robustbench_zs.perturbations.auto_attack import AutoAttack
from robustbench_zs.perturbations.base import Perturbation
from robustbench_zs.perturbations.black_box import DEFAULT_QUERIES, Square
from robustbench_zs.perturbations.numbers import parse_number
from robustbench_zs.perturbations.targeted import FAB, TargetedAPGD
from robustbench_zs.schemes import CoefficientLike

ATTACKS = ("fgsm", "pgd", "apgd", "autoattack", "apgd-t", "fab", "square")

_ITERATIVE: dict[str, Callable[..., Perturbation]] = {"pgd": PGD, "apgd": APGD, "apgd-t": TargetedAPGD, "fab": FAB}


def make_attacks(
    kind: str,
    budgets: Sequence[CoefficientLike],
    *,
    steps: int | None = None,
    step_size: CoefficientLike | None = None,
    restarts: int = 1,
    queries: int = DEFAULT_QUERIES,
    seed: int = DEFAULT_SEED,
    engine: str | None = None,
    norm: str = "linf",
    loss: str = "ce",
    last: bool | None = None,
    ladder: bool = True,
    directions: str = "auto",
    target: str | int | None = None,
) -> list[Perturbation]:
    """One attack per budget, in the order of `budgets`; see the attacks' classes.

    Args:
        ladder: several budgets of an iterative attack by our own engine, with the default step size, form a ladder: an image
            that falls to a smaller one counts as fooled at the larger ones. So they do under AutoAttack.
        directions: `"float32"`, `"bfloat16"` or, by default, what is faster; of PGD by our own engine.

    Raises:
        RequestError: an unknown attack or engine, or a value out of range.
    """
    if kind not in ATTACKS:
        raise RequestError(f"there is no attack {kind[:40]!r}; allowed are {', '.join(ATTACKS)}")
    if norm not in LARGEST_EPS:
        raise RequestError(f"the norm is one of {', '.join(LARGEST_EPS)}, not {norm[:40]!r}")
    levels = [parse_number(eps, "eps", 0, LARGEST_EPS[norm], open_low=True) for eps in budgets]
    if kind != "pgd" and directions == "bfloat16":
        raise RequestError(
            f"{kind} has no directions in bfloat16: of our own attacks only pgd needs no more than directions"
        )
    if kind == "fgsm" and norm != "linf":
        raise RequestError("fgsm has no other norm")
    if loss != "ce" and kind not in ("pgd", "apgd", "autoattack"):
        raise RequestError(f"{kind} has no other loss")
    if target is not None and kind not in ("pgd", "apgd"):
        raise RequestError(f"a target goes with pgd or apgd, not with {kind}")
    if kind == "square":
        return [Square(eps, engine or DEFAULT_ENGINE, queries, seed, norm) for eps in levels]
    if kind == "autoattack":
        if loss != "ce" or step_size is not None or last is not None:
            raise RequestError("autoattack has its own losses and steps; of the PGD before it choose steps and restarts")
        first = make_attacks("pgd", budgets, steps=steps, restarts=restarts, seed=seed, norm=norm, ladder=ladder)
        return [AutoAttack(p.eps, engine or DEFAULT_ENGINE, norm, seed, p) for p in first if isinstance(p, PGD)]
    engine = engine or DEFAULT_ENGINE
    if kind == "fgsm":
        return [FGSM(eps, engine) for eps in levels]
    climbs = ladder and engine == "native" and step_size is None
    usual = DEFAULT_STEPS if kind == "pgd" else DEFAULT_APGD_STEPS
    options: dict[str, Any] = {"steps": usual if steps is None else steps, "restarts": restarts, "seed": seed, "norm": norm}
    if kind in ("pgd", "apgd"):
        options |= {"loss": loss, "target": target}
    if kind == "pgd":
        options |= {"step_size": step_size, "last": last, "directions": directions}
    ladders = [tuple(sorted({e for e in levels if e < eps})) if climbs else () for eps in levels]
    return [_ITERATIVE[kind](eps, engine, ladder=rungs, **options) for eps, rungs in zip(levels, ladders, strict=True)]
