"""The tables of a study file that ask for perturbations, made from what their classes declare of their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Union

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, TypeAdapter, create_model
from pydantic_core import CoreSchema, core_schema

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations import Perturbation, parse_number
from robustbench_zs.perturbations.make import perturbation_kinds
from robustbench_zs.perturbations.parameters import Parameter
from robustbench_zs.system.limits import FileTable


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise RequestError(f"a number is needed, not {type(value).__name__}")
    return parse_number(value, "the number", -1e6, 1e6)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Number = Annotated[float, BeforeValidator(_number, json_schema_input_type=float | str)]
Numbers = Annotated[
    list[Number],
    BeforeValidator(_listed, json_schema_input_type=float | str | list[float | str]),
    Field(min_length=1, max_length=100),
]

OF_STUDY = ("engine", "directions")
"""Parameters that are the study's where a table does not say them."""


@cache
def table_of(kind: type[Perturbation]) -> type[FileTable]:
    """The table that asks for perturbations of one kind."""
    named = {"kind": (Literal[kind.kind], Field(description="Which one it is."))}
    doc = " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
    fields: Any = named | {parameter.name: _field(parameter) for parameter in kind.parameters()}
    return create_model(f"{kind.__name__}Table", __base__=FileTable, __doc__=doc, **fields)


def _field(parameter: Parameter) -> tuple[Any, Any]:
    """The type that pydantic reads a parameter as, with its default, limits and meaning."""
    meaning, kind = parameter.meaning, parameter.type
    if parameter.name in OF_STUDY:
        text = f"{meaning.text[:-1]}; the study's by default, where it is one of these."
        return Literal[meaning.choices] | None, Field(None, description=text)
    if meaning.choices:
        kind = Literal[meaning.choices]
    elif parameter.is_a(float):
        kind = Numbers if meaning.several else Number if kind is float else Number | None
    limits: Any = {"ge": meaning.low, "le": meaning.high} if parameter.is_a(int) else {}
    default: Any = ... if parameter.required else parameter.default
    return kind, Field(default, description=meaning.text, **limits)


def _tables() -> TypeAdapter[FileTable]:
    return _adapter(tuple(perturbation_kinds().values()))


@cache
def _adapter(kinds: tuple[type[Perturbation], ...]) -> TypeAdapter[FileTable]:
    some: Any = Union[tuple(map(table_of, kinds))]  # noqa: UP007
    return TypeAdapter(Annotated[some, Field(discriminator="kind")])


class _OfAnyKind:
    """Reads a table by its `kind`, among the kinds that there are when it is read."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda table: _tables().validate_python(table).model_dump(exclude_unset=True, exclude_none=True)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(_tables().core_schema)


PerturbationTable = Annotated[dict[str, Any], _OfAnyKind()]
"""What a table says, checked; `perturbations_of` makes perturbations of it."""


def perturbations_of(table: dict[str, Any], of_study: Mapping[str, str]) -> list[Perturbation]:
    """The perturbations that a table asks for, each level one; of `of_study` it takes what it has and does not say itself.

    Raises:
        RequestError: a value out of range, or values that do not go together.
    """
    kind = perturbation_kinds()[table["kind"]]
    choices = {parameter.name: parameter.meaning.choices for parameter in kind.parameters()}
    said = {name: value for name, value in of_study.items() if value in choices.get(name, ())}
    return list(kind.of(**said | {name: value for name, value in table.items() if name != "kind"}))
