"""Which ε is tried next on an image, given whether the last one fooled it."""

from __future__ import annotations

import math
from typing import Protocol


class Budgets(Protocol):
    steps_on: int | None
    """Steps at every ε but the first, where an image goes on from its last iterate; None begins afresh with all steps."""

    def first(self) -> float: ...

    def after(self, image: int, eps: float, fooled_at: float) -> float | None:
        """The next ε, None for none.

        Args:
            image: any number that tells images apart.
            eps: what was tried.
            fooled_at: the distance of the example found, at most `eps`; infinite where there was none.
        """
        ...

    def noted(self, eps: float, fooled_at: float) -> float:
        """At which ε an example counts that was found at `eps` and lies at the distance `fooled_at`."""
        ...


class Ladder:
    """ε upwards until one fools the image, so that robust accuracy cannot grow with ε; one ε is the shortest ladder."""

    def __init__(self, rungs: tuple[float, ...], steps_on: int | None = None) -> None:
        self.rungs, self.steps_on = tuple(sorted(rungs)), steps_on

    def first(self) -> float:
        return self.rungs[0]

    def after(self, image: int, eps: float, fooled_at: float) -> float | None:
        place = self.rungs.index(eps) + 1
        return self.rungs[place] if math.isinf(fooled_at) and place < len(self.rungs) else None

    def noted(self, eps: float, fooled_at: float) -> float:
        return eps


class Bisection:
    """Halves the interval between the largest ε that failed and the smallest distance that fooled, `halvings` times.

    What it finds is an upper bound: a stronger attack may succeed below, and success need not grow with ε.
    """

    steps_on: int | None = None

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

    def noted(self, eps: float, fooled_at: float) -> float:
        return fooled_at
