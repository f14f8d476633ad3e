"""Parameters as a dataclass declares them: once, in the annotations of its fields.

A constructor checks its values by them, a study file is read by them, and a command line has its options from them.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from functools import cache
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.numbers import check_whole, parse_number
from robustbench_zs.system.python_numbers import take_python_numbers


@dataclass(frozen=True)
class Meaning:
    """What a field means and which values it takes, as a part of its annotation; a field without one is not asked for.

    Args:
        text: one sentence.
        low, high: limits of a number.
        above: whether `low` itself is too low.
        choices: the allowed values, if they can be listed.
        several: whether several values stand for one object each.
        shown: whether a label shows it: always, never, or (None) where it is not the default.
        option: its name on the command line, where that is not its own.
    """

    text: str
    low: float = 0
    high: float = 0
    above: bool = False
    choices: tuple[str, ...] = ()
    several: bool = False
    shown: bool | None = None
    option: str | None = None


@dataclass(frozen=True)
class Parameter:
    """A field of a dataclass that can be asked for: its annotation without `Meaning`, its default and its meaning."""

    name: str
    type: Any
    default: Any
    meaning: Meaning

    @property
    def required(self) -> bool:
        return self.default is MISSING

    @property
    def asked(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.meaning.choices) != 1

    @property
    def option(self) -> str:
        """Its name on the command line, without the dashes in front."""
        return self.meaning.option or self.name.replace("_", "-")

    def is_shown(self, value: object) -> bool:
        """Whether a label shows the value."""
        return self.required or value != self.default if self.meaning.shown is None else self.meaning.shown

    def is_a(self, kind: type) -> bool:
        """Whether its values are of that type; None aside."""
        return set(get_args(self.type) or (self.type,)) - {NoneType} == {kind}

    def checked(self, value: Any, owner: str) -> Any:
        """The value, text that means a number as that number.

        Raises:
            RequestError: it is not allowed; the sentence says that it is the owner's.
        """
        name, meaning = f"{self.name.replace('_', ' ')} of {owner}", self.meaning
        if value is None and self.default is None:
            return None
        if meaning.choices and value not in meaning.choices:
            raise RequestError(f"{name} must be one of {', '.join(meaning.choices)}, not {str(value)[:40]!r}")
        if self.is_a(int):
            check_whole(name, value, int(meaning.high), int(meaning.low))
        return parse_number(value, name, meaning.low, meaning.high, meaning.above) if self.is_a(float) else value


@cache
def parameters_of(kind: type) -> tuple[Parameter, ...]:
    """The parameters that a dataclass declares, in the order of its fields."""
    hints = get_type_hints(kind, include_extras=True)
    declared = [
        (field, *get_args(hints[field.name])) for field in fields(kind) if get_origin(hints[field.name]) is Annotated
    ]
    return tuple(Parameter(field.name, plain, field.default, meaning) for field, plain, meaning in declared)


def take_parameters(value: Any, owner: str) -> None:
    """Check the parameters of a frozen dataclass that is being made, and turn them into Python's numbers.

    Raises:
        RequestError: a value is not allowed.
    """
    take_python_numbers(value)
    kind: Any = type(value)
    for parameter in parameters_of(kind):
        object.__setattr__(value, parameter.name, parameter.checked(getattr(value, parameter.name), owner))
