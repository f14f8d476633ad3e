"""Progress on standard error: a bar for each network in a terminal, a line for each finished one elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from robustbench_zs.studies.engines import Standing
    from robustbench_zs.training.loop import Epoch
    from robustbench_zs.training.task import TrainingTask

MAX_LINES = 8
"""Networks with a bar of their own at a time; more are only counted, and finished ones leave the screen."""

SECONDS_BETWEEN_LINES = 60.0
"""Between lines on evaluations and on a whole study, where there is no terminal."""


class Progress:
    """Shows trainings and evaluations as their events come in; see `progress`."""

    def __init__(self, total: int, shown: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        # FORCE_COLOR asks for colours, not for bars that are drawn over and over in a file.
        self.console = Console(stderr=True, quiet=not shown, force_terminal=sys.stderr.isatty())
        self.live = self.console.is_terminal
        self.total = total
        self.finished = 0
        self.evaluations = 0
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
        self.under_way: set[str] = set()
        self.study: Any = None
        self.told = self.start

    def epoch(self, task: TrainingTask, epoch: Epoch) -> None:
        """One epoch of one network is done."""
        name = f"{task.network.name} seed {task.seed}"
        note = f"loss {epoch.loss:.3f}"
        if math.isfinite(epoch.test_accuracy):  # it is not taken after every epoch
            note += f", test {epoch.test_accuracy:.1f}%"
        self._show(name, task.recipe.epochs, note, completed=epoch.epoch)
        if epoch.epoch == task.recipe.epochs or epoch.diverged:
            ending = "diverged" if epoch.diverged else "trained"
            self._done(name, f"{ending}: {name}, {note}, train {epoch.train_accuracy:.1f}%")

    def evaluated(self, name: str, label: str) -> None:
        """One evaluation of one network is done: a bar in a terminal, elsewhere a line each minute."""
        self.evaluations += 1
        self._show("evaluations", None, f"{name}: {label}", advance=1)
        self._each_minute(f"{self.evaluations} evaluations are done, the last of {name}: {label}")

    def standing(self, standing: Standing) -> None:
        """How far the whole study is: in a terminal always on the screen, elsewhere a line each minute."""
        if self.live:
            if self.study is None:
                self.study = self.bars.add_task("study", total=standing.jobs, note="")
            self.bars.update(self.study, completed=standing.done, note=str(standing))
        self._each_minute(str(standing))

    def _each_minute(self, line: str) -> None:
        if not self.live and time.monotonic() - self.told >= SECONDS_BETWEEN_LINES:
            self.told = time.monotonic()
            self._print(line)

    def _print(self, line: str) -> None:
        self.console.print(f"{line} ({time.monotonic() - self.start:.0f} s)", highlight=False, markup=False, soft_wrap=True)

    def _show(self, name: str, total: int | None, note: str, **moved: int) -> None:
        """Move the bar of a network, which it gets if there is room."""
        if not self.live:
            return
        self.under_way.add(name)
        if name not in self.tasks and len(self.tasks) < MAX_LINES:
            self.tasks[name] = self.bars.add_task(name, total=total, note="")
        if name in self.tasks:
            self.bars.update(self.tasks[name], note=note, **moved)  # type: ignore[arg-type]
        self._count_hidden()

    def _count_hidden(self) -> None:
        if self.all is not None:
            hidden = len(self.under_way - set(self.tasks))
            self.bars.update(self.all, note=f"and {hidden} more under way" if hidden else "")

    def _done(self, name: str, line: str) -> None:
        self.finished += 1
        if self.live:
            self.under_way.discard(name)
            if name in self.tasks:
                self.bars.remove_task(self.tasks.pop(name))  # type: ignore[arg-type]
            if self.all is not None:
                self.bars.advance(self.all)
            self._count_hidden()
        count = f"[{self.finished}/{self.total}] " if self.total > 1 else ""
        self._print(f"{count}{line}")


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
