"""Options that are made from what classes declare of their parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from robustbench_zs.cli.command import NUMBERS, Command

if TYPE_CHECKING:
    from robustbench_zs.perturbations import Perturbation
    from robustbench_zs.perturbations.parameters import Parameter

SYMBOLS = {"eps": "ε", "delta": "δ", "mu": "μ", "target": "TARGET"}


class DeclaringCommand(Command):
    """A command with options that stand for others, see `Declared`."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        made = [param.options() if isinstance(param, Declared) else [param] for param in super().get_params(ctx)]
        return [param for params in made for param in params]


class Declared(click.Option):
    """Stands for the options that name one of some classes and give its parameters, until a command is asked for them.

    So `--help` of other commands does not import the classes. A parameter that is not given is None.

    Args:
        names: of the option that names a class.
        registry: where the classes are in `perturbations.make`, by name.
    """

    def __init__(self, names: list[str], *, registry: str, **more: Any) -> None:
        super().__init__(names, **more)
        self.names, self.registry = names, registry

    def options(self) -> list[click.Parameter]:
        from robustbench_zs.perturbations import make

        kinds: dict[str, type[Perturbation]] = getattr(make, self.registry)
        having: dict[str, dict[str, Parameter]] = {}
        for kind, cls in kinds.items():
            for parameter in cls.parameters():
                having.setdefault(parameter.name, {})[kind] = parameter
        named = click.Option(self.names, type=click.Choice(list(kinds)), help=self.help)
        return [named, *(_option(some, len(some) == len(kinds)) for some in having.values())]


def _option(having: Mapping[str, Parameter], all_have_it: bool) -> click.Option:
    """The option for a parameter of the kinds that have it."""
    first = next(iter(having.values()))
    choices = _grouped((choice, kind) for kind, parameter in having.items() for choice in parameter.meaning.choices)
    only = [] if all_have_it else [f"with {', '.join(having)}"]
    only += [f"{choice} with {', '.join(kinds)}" for choice, kinds in choices.items() if len(kinds) < len(having)]
    usual = _default(having)
    notes = [f"  [{'; '.join(only)}]" if only else "", f"  [default: {usual}]" if usual else ""]
    text = "".join([first.meaning.text, *notes])
    if first.is_a(bool):
        return click.Option([f"--{first.option}/--no-{first.option}", first.name], default=None, help=text)
    symbol = SYMBOLS.get(first.name, "N" if first.is_a(int) else "X")
    how: dict[str, Any] = {"type": int if first.is_a(int) else str, "metavar": symbol}
    if choices:
        how = {"type": click.Choice(list(choices))}
    elif first.meaning.several:
        how = {"type": NUMBERS, "metavar": f"{symbol}[,{symbol}…]"}
    return click.Option([f"--{first.option}", first.name], help=text, **how)


def _default(having: Mapping[str, Parameter]) -> str:
    """The default, and which kinds have another one."""
    said = {kind: p.default for kind, p in having.items() if not (p.required or p.default is None or p.is_a(bool))}
    usual, *others = _grouped((value, kind) for kind, value in said.items()).items() or [("", [])]
    return "; ".join([f"{usual[0]}", *(f"{', '.join(kinds)} {value}" for value, kinds in others)])


def _grouped(pairs: Iterable[tuple[Any, str]]) -> dict[Any, list[str]]:
    """The second of all pairs by their first."""
    found: dict[Any, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
