"""How far a study is: jobs done, running and failed, images per second, time left."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

WINDOW = 120.0
"""Seconds over which the speed is taken."""


@dataclass(frozen=True)
class Standing:
    """How far a study is; `images_per_second` are those of trainings, `seconds_left` is None until something is done."""

    done: int
    running: int
    failed: int
    jobs: int
    images_per_second: float
    seconds_left: float | None

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f", {duration(self.seconds_left)} left"
        failed = f", {self.failed} failed" if self.failed else ""
        speed = f", {self.images_per_second:,.0f} images/s" if self.images_per_second else ""
        return f"{self.done} of {self.jobs} jobs done, {self.running} running{failed}{speed}{left}"


def duration(seconds: float) -> str:
    """Seconds as people read them: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


@dataclass
class Count:
    """Counts jobs, images and work; `work` is that of all jobs, in any unit."""

    jobs: int
    work: float
    done: int = 0
    running: int = 0
    failed: int = 0
    worked: float = 0.0
    start: float = field(default_factory=time.monotonic)
    trained: deque[tuple[float, int]] = field(default_factory=deque)

    def images(self, number: int) -> None:
        """So many images went through a training."""
        self.trained.append((time.monotonic(), number))

    def standing(self) -> Standing:
        now = time.monotonic()
        while self.trained and now - self.trained[0][0] > WINDOW:
            self.trained.popleft()
        over = min(WINDOW, now - self.start)
        left = (now - self.start) * (self.work - self.worked) / self.worked if self.worked else None
        speed = sum(number for _, number in self.trained) / over if over else 0.0
        return Standing(self.done, self.running, self.failed, self.jobs, speed, left)
