"""Which ε is tried next on an image that stood at the last one."""

from __future__ import annotations

from typing import Protocol

WIDEST_RUNG = 2.0
"""How much larger the next ε of a ladder may be for an image to go on from its last iterate: from further below, a few steps
find less than all of them from a random start."""


class Budgets(Protocol):
    def first(self) -> float: ...

    def after(self, eps: float) -> float | None:
        """The next ε after one at which an image stood, None for none."""
        ...

    def steps_on(self, eps: float, following: float) -> int | None:
        """Steps at the next ε if the image goes on there from its last iterate; None begins afresh with all steps."""
        ...


class Ladder:
    """ε upwards until one fools the image, so that robust accuracy cannot grow with ε; one ε is the shortest ladder.

    Args:
        steps_on: where ε at most doubles, an image goes on from its last iterate with so many steps; None for never.
    """

    def __init__(self, rungs: tuple[float, ...], steps_on: int | None = None) -> None:
        self.rungs, self._steps_on = tuple(sorted(rungs)), steps_on

    def first(self) -> float:
        return self.rungs[0]

    def after(self, eps: float) -> float | None:
        place = self.rungs.index(eps) + 1
        return self.rungs[place] if place < len(self.rungs) else None

    def steps_on(self, eps: float, following: float) -> int | None:
        return self._steps_on if following <= WIDEST_RUNG * eps * (1 + 1e-9) else None
