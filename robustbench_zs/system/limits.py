"""Tables in files, which may come from strangers: no keys but the known ones, and limits on lists, names and numbers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from robustbench_zs.system.python_numbers import MAX_SEED

MAX_KEYS = 100
"""Of a table with known keys, and of one that says what was used."""

Seed = Annotated[int, Field(ge=0, lt=MAX_SEED + 1)]


class FileTable(BaseModel):
    """A table with these keys and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a name may only have characters that can be printed")
    return text


Name = Annotated[str, AfterValidator(_printable)]
"""A name that stands in tables: no line breaks, and nothing that a terminal takes for a command."""


def at_most(entries: int) -> BeforeValidator:
    """Refuse a longer list or table before its entries are looked at: every wrong one of millions would be reported."""
    return BeforeValidator(lambda value: checked_length(value, entries))


def checked_length(value: Any, entries: int) -> Any:
    """The value; a `ValueError` if it is a list or table with more entries."""
    if isinstance(value, (list, dict)) and len(value) > entries:
        raise ValueError(f"at most {entries} entries are allowed, not {len(value)}")
    return value
