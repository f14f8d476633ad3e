"""The commands that reproduce single numbers of a report."""

from __future__ import annotations

from typing import Any

from robustbench_zs.perturbations import Perturbation
from robustbench_zs.perturbations.make import ATTACKS, NOISES
from robustbench_zs.perturbations.numbers import format_number
from robustbench_zs.perturbations.parameters import Parameter


def command_of(perturbation: Perturbation) -> str | None:
    """What `zsbench` takes for a perturbation; None where only Python makes it.

    Examples:
        >>> from robustbench_zs.reporting.commands import command_of
        >>> command_of(zs.PGD("8/255", steps=20, seed=3))
        'attack --pgd --eps 8/255 --steps 20 --attack-seed 3'
    """
    kind, cls = perturbation.kind, type(perturbation)
    if kind not in {**NOISES, **ATTACKS}:
        return None
    given = {p: getattr(perturbation, p.name) for p in cls.parameters() if hasattr(perturbation, p.name)}
    plain = {p.name: value for p, value in given.items() if p.required or p.name == "engine"}
    usual = cls(**plain)
    levels = {p.name: [*getattr(perturbation, "below", ()), value] for p, value in given.items() if p.meaning.several}
    usually = {p: p.default if p.name == "engine" else getattr(usual, p.name) for p in given}
    said: dict[Parameter, Any] = {p: value for p, value in given.items() if p.required or value != usually[p]}
    if perturbation not in cls.of(**{p.name: value for p, value in said.items()} | levels):
        return None
    said |= {p: ",".join(map(_text, levels[p.name])) for p in said if p.name in levels}
    options = [_option(p.option, value) for p, value in said.items()]
    named = f"evaluate --noise {kind}" if kind in NOISES else f"attack {attack_option(kind)}"
    return " ".join([named, *options])


def attack_option(kind: str) -> str:
    """How the command line names an attack: two have an option of their own."""
    return f"--{kind}" if kind in ("fgsm", "pgd") else f"--attack {kind}"


def _option(name: str, value: object) -> str:
    return f"--{name if value else f'no-{name}'}" if isinstance(value, bool) else f"--{name} {_text(value)}"


def _text(value: object) -> str:
    return format_number(value) if isinstance(value, float) else str(value)
