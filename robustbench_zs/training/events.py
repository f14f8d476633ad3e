"""Who is told what happens while networks are trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from robustbench_zs.training.loop import Epoch
from robustbench_zs.training.task import TrainingTask


@dataclass(frozen=True, kw_only=True)
class Events:
    """Functions that are called with what happens, in the process that was asked for it; by default nobody is told.

    Args:
        epoch: called with the task of a network after each epoch of it.
        say: gets a sentence on how networks are trained, where that is chosen by a trial, and on what is waited for.
    """

    epoch: Callable[[TrainingTask, Epoch], None] = lambda task, epoch: None
    say: Callable[[str], None] = lambda words: None


def numbered(send: Callable[[tuple[int, Any]], None], place: int) -> Callable[[Any], None]:
    """A function that sends events of one of several networks with its place among them."""
    return lambda event: send((place, event))
