"""Studies that make one table of the paper together, because they differ in dataset or recipe."""

from __future__ import annotations

from dataclasses import dataclass

from robustbench_zs.studies.study import Study


@dataclass(frozen=True)
class Collection:
    """Several studies with one report that sets their numbers beside one table of the paper; fields as of `Study`."""

    name: str
    title: str
    note: str
    request: str
    paper: str | None
    parts: list[Study]

    @property
    def scaled(self) -> str:
        """How the parts differ from the full ones, empty where they do not."""
        return "; ".join(f"{part.name}: {part.scaled}" for part in self.parts if part.scaled)
