"""Which ε is tried next on an image, given whether the last one fooled it."""

from __future__ import annotations

import math
from typing import Protocol

WIDEST_RUNG = 2.0
"""How much larger the next ε of a ladder may be for an image to go on from its last iterate: from further below, a few steps
find less than all of them from a random start."""


class Budgets(Protocol):
    def first(self) -> float: ...

    def after(self, image: int, eps: float, fooled_at: float) -> float | None:
        """The next ε, None for none.

        Args:
            image: any number that tells images apart.
            eps: what was tried.
            fooled_at: the distance of the example found, at most `eps`; infinite where there was none.
        """
        ...

    def steps_on(self, eps: float, following: float) -> int | None:
        """Steps at the next ε if the image goes on there from its last iterate; None begins afresh with all steps."""
        ...

    def noted(self, eps: float, fooled_at: float) -> float:
        """At which ε an example counts that was found at `eps` and lies at the distance `fooled_at`."""
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

    def after(self, image: int, eps: float, fooled_at: float) -> float | None:
        place = self.rungs.index(eps) + 1
        return self.rungs[place] if math.isinf(fooled_at) and place < len(self.rungs) else None

    def steps_on(self, eps: float, following: float) -> int | None:
        return self._steps_on if following <= WIDEST_RUNG * eps * (1 + 1e-9) else None

    def noted(self, eps: float, fooled_at: float) -> float:
        return eps


class Bisection:
    """Halves the interval between the largest ε that failed and the smallest distance that fooled, `halvings` times.

    What it finds is an upper bound: a stronger attack may succeed below, and success need not grow with ε.
    """

    def __init__(self, largest: float, halvings: int) -> None:
        self.largest, self.halvings = largest, halvings
        self.between: dict[int, tuple[float, float, int]] = {}

    def first(self) -> float:
        return self.largest

    def after(self, image: int, eps: float, fooled_at: float) -> float | None:
        low, high, left = self.between.get(image, (0.0, math.inf, self.halvings))
        if math.isinf(fooled_at):
            low = max(low, eps)
        else:
            high = min(high, fooled_at)
        self.between[image] = (low, high, left - 1)
        return None if math.isinf(high) or left == 0 or high <= low else (low + high) / 2

    def steps_on(self, eps: float, following: float) -> int | None:
        return None

    def noted(self, eps: float, fooled_at: float) -> float:
        return fooled_at
