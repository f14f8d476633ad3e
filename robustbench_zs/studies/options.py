"""How a study is run, as one value, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from robustbench_zs.evaluation.store import DEFAULT_STORE
from robustbench_zs.studies.engines import OnEvent, Standing, StudyEvents
from robustbench_zs.studies.load import load_study
from robustbench_zs.studies.status import Status
from robustbench_zs.studies.study import Study
from robustbench_zs.training.execution import DEFAULT_BATCH_SIZE, Compute


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `run_study`, which says what they mean.

    Raises:
        RequestError: a value out of range.
    """

    scale: str | None = None
    data_dir: str | Path | None = None
    store: str | Path = DEFAULT_STORE
    device: str | None = None
    threads: int | None = None
    workers: int = 1
    engine: str = "local"
    address: str | None = None
    batch_size: int = DEFAULT_BATCH_SIZE
    on_start: Callable[[Study, Status], None] = lambda study, status: None
    on_event: OnEvent = lambda task, event: None
    on_standing: Callable[[Standing], None] = lambda standing: None
    say: Callable[[str], None] = lambda words: None

    def __post_init__(self) -> None:
        object.__setattr__(self, "batch_size", self.compute.batch_size)  # refused before anything is trained

    @property
    def compute(self) -> Compute:
        """What of the machine may be used."""
        return Compute(self.device, self.threads, self.workers, self.batch_size)

    @property
    def events(self) -> StudyEvents:
        """Who is told."""
        return StudyEvents(epoch=self.on_event, evaluated=self.on_event, standing=self.on_standing, say=self.say)

    def load(self, study: str | Path | Study) -> Study:
        """The study that is meant."""
        return load_study(study, self.scale) if isinstance(study, (str, Path)) else study
