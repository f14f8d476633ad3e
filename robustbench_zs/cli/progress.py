"""Progress on standard error: a bar for each network in a terminal, a line for each finished one elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from robustbench_zs.training.loop import Epoch
    from robustbench_zs.training.train import TrainingTask

MOST_LINES = 8
"""Networks shown at a time; finished ones leave the screen."""


class Progress:
    """Shows trainings and evaluations as their events come in; see `progress`."""

    def __init__(self, total: int, shown: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self.console = Console(stderr=True, quiet=not shown)
        self.live = self.console.is_terminal
        self.total = total
        self.finished = 0
        self.start = time.monotonic()
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self.live,
        )
        self.all = self.bars.add_task("all networks", total=total, note="") if total > 1 else None
        self.tasks: dict[str, int] = {}

    def epoch(self, task: TrainingTask, epoch: Epoch) -> None:
        """One epoch of one network is done."""
        name = f"{task.network.name} seed {task.seed}"
        note = f"loss {epoch.loss:.3f}, test {epoch.test_accuracy:.1f}%"
        if self.live:
            if name not in self.tasks:
                self.tasks[name] = self.bars.add_task(name, total=task.recipe.epochs, note="")
            self.bars.update(self.tasks[name], completed=epoch.epoch, note=note)  # type: ignore[arg-type]
        if epoch.epoch == task.recipe.epochs or epoch.diverged:
            ending = "diverged" if epoch.diverged else "trained"
            self._done(name, f"{ending}: {name}, {note}, train {epoch.train_accuracy:.1f}%")

    def evaluated(self, name: str, label: str) -> None:
        """One evaluation of one network is done."""
        if self.live:
            if name not in self.tasks:
                self.tasks[name] = self.bars.add_task(name, total=None, note="")
            self.bars.update(self.tasks[name], advance=1, note=label)  # type: ignore[arg-type]

    def _done(self, name: str, line: str) -> None:
        self.finished += 1
        if self.live:
            self.bars.remove_task(self.tasks.pop(name))  # type: ignore[arg-type]
            if self.all is not None:
                self.bars.advance(self.all)
        count = f"[{self.finished}/{self.total}] " if self.total > 1 else ""
        self.console.print(
            f"{count}{line} ({time.monotonic() - self.start:.0f} s)", highlight=False, markup=False, soft_wrap=True
        )


@contextmanager
def progress(total: int) -> Iterator[Progress]:
    """Progress of `total` networks while the block runs."""
    from robustbench_zs.training.distributed import is_first

    shown = Progress(total, is_first())
    with shown.bars:
        yield shown


def say(message: str) -> None:
    """One line for people, apart from the results on standard output."""
    click.echo(message, err=True)
