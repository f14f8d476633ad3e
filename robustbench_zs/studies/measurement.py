"""Studies without training: what networks cost in parameters and time, and the roots of their schemes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from robustbench_zs.networks import NetworkSpec
from robustbench_zs.studies.perturbation_table import StudyTable
from robustbench_zs.studies.study import NAME, PaperTable, Scale, SchemeTable, Study, networks_of, paper_networks

Measure = Literal["parameters", "runtime", "roots"]


class MeasurementScale(StudyTable):
    """A scaled-down form: what stands here replaces the measurement's own."""

    schemes: list[str] | None = None
    depths: list[int] | None = None
    image_size: int | None = None
    images: int | None = None
    repeats: int | None = None


class Measurement(StudyTable):
    """What to measure of which networks; 32×32 images in three channels and ten classes unless it says otherwise.

    Args:
        measure: `"parameters"`, `"runtime"` (seconds of training and of inference) or `"roots"`.
        batch_sizes, images, repeats: of run times: networks take turns, `repeats` times each over `images` images.
        epochs, train_images, test_images: what measured times are scaled up to.
    """

    name: str = Field(pattern=NAME)
    title: str = Field("", max_length=500)
    note: str = Field("", max_length=5000)
    scaled: str = ""
    request: str = ""
    paper_depths: list[int] = Field(default_factory=list)
    paper: PaperTable | None = None
    scale: dict[Scale, MeasurementScale] = Field(default_factory=dict)
    measure: Measure
    schemes: list[str | SchemeTable] = Field(min_length=1, max_length=1000)
    depths: list[int] = Field(default_factory=lambda: [20], min_length=1, max_length=100)
    image_size: int = Field(32, ge=8, le=4096)
    batch_sizes: list[int] = Field(default_factory=lambda: [128], min_length=1, max_length=20)
    images: int = Field(10_000, ge=1, le=10_000_000)
    repeats: int = Field(5, ge=1, le=1000)
    epochs: int = Field(160, ge=1, le=100_000)
    train_images: int = Field(50_000, ge=1, le=10**9)
    test_images: int = Field(10_000, ge=1, le=10**9)

    @model_validator(mode="after")
    def _check(self) -> Measurement:
        self.specs()
        if any(not 1 <= size <= 1_000_000 for size in self.batch_sizes):
            raise ValueError("a batch size lies between 1 and 1000000")
        return self

    @property
    def parts(self) -> list[Study]:
        """The studies with trainings that it consists of: none."""
        return []

    def specs(self) -> list[NetworkSpec]:
        """The networks, each depth with all schemes."""
        return networks_of(self.schemes, self.depths)

    def paper_networks(self) -> dict[str, tuple[str, int]]:
        """Name of each network → scheme and depth of the paper's one that it stands for."""
        return paper_networks(self.specs(), self.depths, self.paper_depths)

    def before(self) -> dict[str, Any]:
        """What a scaled-down form may replace, as text for saying so."""
        return {
            "schemes": len(self.schemes),
            "depths": self.depths,
            "image_size": self.image_size,
            "images": self.images,
            "repeats": self.repeats,
        }
