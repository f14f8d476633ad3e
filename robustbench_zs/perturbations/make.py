"""Noise and attacks by name, for study files, the command line and `zs.attack`.

A new one needs a line here, and nothing else: its parameters are read from its class.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.apgd import APGD, FAB, TargetedAPGD
from robustbench_zs.perturbations.attacks import Attack
from robustbench_zs.perturbations.auto_attack import AutoAttack
from robustbench_zs.perturbations.base import Perturbation
from robustbench_zs.perturbations.black_box import Square
from robustbench_zs.perturbations.clean import CleanTop
from robustbench_zs.perturbations.fgsm import FGSM
from robustbench_zs.perturbations.noise import ConstantNoise, GaussianNoise, UniformNoise
from robustbench_zs.perturbations.parameters import Parameter
from robustbench_zs.perturbations.pgd import PGD

if TYPE_CHECKING:
    from robustbench_zs.schemes import CoefficientLike

NOISES: dict[str, type[Perturbation]] = {kind.kind: kind for kind in (GaussianNoise, UniformNoise, ConstantNoise)}
ATTACKS: dict[str, type[Attack]] = {kind.kind: kind for kind in (FGSM, PGD, APGD, AutoAttack, TargetedAPGD, FAB, Square)}

EFFORT = ("steps", "restarts", "queries", "seed", "ladder")
"""How much is tried: given to attacks of all kinds, it means those that have it."""


def perturbation_kinds() -> dict[str, type[Perturbation]]:
    """Every perturbation that a study can name."""
    return {**NOISES, CleanTop.kind: CleanTop, **ATTACKS}


def make_attacks(kind: str, budgets: Iterable[CoefficientLike], **said: Any) -> list[Attack]:
    """One attack per budget, in the order of `budgets`.

    Args:
        kind: one of `ATTACKS`.
        said: parameters of that attack, see its class; None leaves one out. Several budgets of an iterative attack by our
            own engine, with the default step size, form a ladder unless `ladder` is False.

    Raises:
        RequestError: an unknown attack, a parameter that it does not have, or a value out of range.

    Examples:
        >>> from robustbench_zs.perturbations.make import make_attacks
        >>> make_attacks("pgd", ["2/255", "8/255"]) == zs.PGD.ladder("2/255", "8/255")
        True
    """
    if kind not in ATTACKS:
        raise RequestError(f"there is no attack {kind[:40]!r}: choose from {', '.join(ATTACKS)}")
    own = {parameter.name for parameter in ATTACKS[kind].parameters()}
    said = {name: value for name, value in said.items() if value is not None}
    for name, value in said.items():
        if name not in own and not _changes_nothing(name, value):
            raise RequestError(f"{kind} takes no {name.replace('_', ' ')}: only {', '.join(attacks_with(name))} do")
    return ATTACKS[kind].of(eps=tuple(budgets), **{name: value for name, value in said.items() if name in own})


def attacks_with(name: str) -> dict[str, Parameter]:
    """Kinds of attacks that have a parameter of that name, with it."""
    return {kind: p for kind, attack in ATTACKS.items() for p in attack.parameters() if p.name == name}


def attack_parameters() -> tuple[str, ...]:
    """Names of the parameters of all attacks."""
    return tuple(dict.fromkeys(p.name for attack in ATTACKS.values() for p in attack.parameters()))


def _changes_nothing(name: str, value: object) -> bool:
    """Whether an attack without the parameter behaves as requested anyway."""
    return name in EFFORT or value in ("float32", *(parameter.default for parameter in attacks_with(name).values()))
