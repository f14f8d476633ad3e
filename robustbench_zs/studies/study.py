"""The study file: which schemes, depths and seeds, on which images, under which perturbations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from robustbench_zs.datasets.known import KNOWN, OTHER
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.questions.masking import MaskingProbe
from robustbench_zs.evaluation.questions.smallest_eps import DEFAULT_STEPS, EpsSearch
from robustbench_zs.networks import NetworkSpec, network_from_name
from robustbench_zs.networks.spec import Form
from robustbench_zs.perturbations import FGSM, PGD, Perturbation
from robustbench_zs.perturbations.attacks import Attack
from robustbench_zs.perturbations.native import Directions
from robustbench_zs.perturbations.transfer import transferable
from robustbench_zs.schemes.atlas import quarter_of
from robustbench_zs.studies.measurement import Measurement
from robustbench_zs.studies.perturbation_table import Number, PerturbationTable, perturbations_of
from robustbench_zs.studies.study_networks import AtlasTable, Scale, ScaleTable, SchemeTable, networks_of, paper_networks
from robustbench_zs.system.limits import FileTable, Seed
from robustbench_zs.training import Recipe, recipe_for, recipe_from_name
from robustbench_zs.training.recipe import Augmentation, Precision, Schedule, Weights

MAX_NETWORKS = 10_000

PROBE_QUERIES = 100
"""Queries of Square in a study's check of gradients: enough to see attacks that fail altogether, at little cost."""


class DatasetTable(FileTable):
    name: str = Field(max_length=1000)
    train_examples: int | None = Field(None, ge=1)
    test_examples: int | None = Field(None, ge=1)
    image_size: int | None = None

    @model_validator(mode="after")
    def _check(self) -> DatasetTable:
        for split, asked in (("train", self.train_examples), ("test", self.test_examples)):
            there_are = KNOWN.get(self.name, OTHER).examples.get(split)
            if asked is not None and there_are is not None and asked > there_are:
                raise ValueError(f"{self.name} has {there_are} {split} images, not {asked}")
        return self


class RecipeTable(FileTable):
    """A recipe by name (that of the dataset by default) and what differs from it."""

    name: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: Number | None = None
    momentum: Number | None = None
    weight_decay: Number | None = None
    augmentation: Augmentation | None = None
    schedule: Schedule | None = None
    warmup_epochs: int | None = None
    weights: Weights | None = None
    replicas: int | None = None
    precision: Precision | None = None


class CurveTable(FileTable):
    """The smallest ε that fools each image is searched up to `eps`; nothing in it is random."""

    eps: Number
    steps: int = DEFAULT_STEPS
    norm: Literal["linf", "l2"] = "linf"

    def search(self) -> EpsSearch:
        return EpsSearch(self.eps, self.norm, self.steps)


class TransferTable(FileTable):
    """The first seed of every network is attacked by our own engine, and every other one sees the examples."""

    kind: Literal["pgd", "fgsm"] = "pgd"
    eps: Number
    steps: int | None = None
    norm: Literal["linf", "l2"] = "linf"
    seed: Seed = 1

    def attack(self) -> FGSM | PGD:
        return transferable(**self.model_dump())


NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
PaperTable = Literal[
    "table1", "table2", "table3", "table4", "table5", "table6", "table7", "table8", "table9", "table10", "figure4"
]


HIDDEN = ("scaled", "request", "measured")
"""Keys that no file sets."""

MEASURED_KEYS = ("name", "title", "note", "paper_depths", "paper", "scale", "schemes", "depths")
"""Keys of a file that trains nothing, besides those of its `Measurement`."""


class Study(FileTable):
    """A study as its file states it; every value has been checked, down to each network and perturbation.

    Either its networks are trained on `dataset` and asked what follows there, or `measured` says what is measured of them as
    they are made. One with `parts` consists of these, and its own fields are those of the first; no file sets `measured`.

    `note` is shown in the report; `paper` is the table whose numbers stand beside ours there, `paper_depths` which depths of
    it the study's depths stand for, in order (the same by default). `scaled` says how a scaled-down form differs, `request`
    what `zsbench run` takes for it; no file sets these. `masking_images` is on how many images the gradients of the first
    seed of each network are checked where the study attacks it, 0 for none. `atlas` adds its schemes to `schemes`.
    `checkpoints` is another study whose folder of checkpoints it uses, so that both evaluate the same networks. `controls`
    are studies that train some of the same networks by another recipe; the report shows what the store has of them.

    Examples:
        >>> study = zs.Study(name="mine", schemes=["euler", "zerosnet-opt"], depths=[20], dataset={"name": "digits"})
        >>> [spec.name for spec in study.specs()]
        ['preresnet20', 'zerosnet20-opt']
    """

    name: str = Field(pattern=NAME)
    title: str = Field("", max_length=500)
    note: str = Field("", max_length=5000)
    scaled: str = ""
    request: str = ""
    paper_depths: list[int] = Field(default_factory=list)
    paper: PaperTable | None = None
    checkpoints: str | None = Field(None, pattern=NAME)
    controls: list[Annotated[str, Field(pattern=NAME)]] = Field(default_factory=list, max_length=20)
    scale: dict[Scale, ScaleTable] = Field(default_factory=dict)
    parts: list[Study] = Field(default_factory=list)
    measured: Measurement | None = None
    dataset: DatasetTable | None = None
    schemes: list[str | SchemeTable] = Field(default_factory=list, max_length=1000)
    atlas: AtlasTable | None = None
    depths: list[int] = Field(default_factory=lambda: [20], min_length=1, max_length=100)
    widths: list[int] = Field(default_factory=list, max_length=4)
    block: Literal["basic", "bottleneck"] | None = None
    form: Form = "cifar"
    networks: list[str] = Field(default_factory=list, max_length=1000)
    seeds: list[Seed] = Field(default_factory=lambda: [0], min_length=1, max_length=1000)
    recipe: RecipeTable = RecipeTable()
    engine: Literal["native", "foolbox", "torchattacks"] = "native"
    directions: Literal["auto", "float32", "bfloat16"] = "auto"
    perturbations: list[PerturbationTable] = Field(default_factory=list, max_length=1000)
    masking_images: int = Field(60, ge=0, le=100_000)
    transfer: TransferTable | None = None
    curve: CurveTable | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:
        """In a file `measure` and its settings stand beside the other keys."""
        if not isinstance(data, dict) or "measure" not in data:
            return data
        settings = {key: value for key, value in data.items() if key in Measurement.model_fields}
        others = {key: value for key, value in data.items() if key not in settings}
        allowed = (*MEASURED_KEYS, *Measurement.model_fields)
        for key in others:
            if key not in allowed and key not in HIDDEN:
                raise ValueError(f"unknown key {str(key)[:80]!r}: choose from {', '.join(allowed)}")
        return {**others, "measured": settings}

    @field_validator("seeds", "depths", "networks", "schemes")
    @classmethod
    def _distinct(cls, values: list[Any]) -> list[Any]:
        if any(value in values[:i] for i, value in enumerate(values)):
            raise ValueError("the list contains a value twice")
        return values

    @model_validator(mode="after")
    def _check(self) -> Study:
        for scale, form in self.scale.items():
            for key in form.model_dump(exclude_none=True).keys() - self._scalable():
                raise ValueError(f"unknown key 'scale.{scale}.{key}': choose from {', '.join(self._scalable())}")
        if self.measured:
            if not self.specs():
                raise ValueError("the key 'schemes' is missing")
            return self
        if self.dataset is None:
            raise ValueError("the key 'dataset' is missing")
        if not self.parts and not 1 <= self.size <= MAX_NETWORKS:
            raise ValueError(f"a study must train 1 to {MAX_NETWORKS} networks, not {self.size}: see the key 'schemes'")
        if self.atlas is None and any(form.schemes_per_half for form in self.scale.values()):
            raise ValueError("schemes_per_half in a scaled-down form requires the table [atlas]")
        self.full_recipe()
        if self.transfer:
            self.transfer.attack()
        if self.curve:
            self.curve.search()
        labels = [p.label for p in self.all_perturbations()]
        if len(set(labels)) < len(labels):
            raise ValueError("the study contains a perturbation twice")
        return self

    def trainings(self) -> list[Study]:
        """The studies that train its networks: its parts, or itself.

        Raises:
            RequestError: it trains none.
        """
        self.trained_on()
        return self.parts or [self]

    def trained_on(self) -> DatasetTable:
        """The images that its networks are trained and evaluated on.

        Raises:
            RequestError: it trains none.
        """
        if self.dataset is None:
            raise RequestError(f"the study {self.name!r} trains nothing: it measures untrained networks")
        return self.dataset

    def specs(self) -> list[NetworkSpec]:
        """The networks, each depth with all schemes, then those given by name, then those of the atlas."""
        of_atlas = [name for half in self.atlas.halves() for name in half] if self.atlas else []
        return self._listed() + self._made(of_atlas)

    def phases(self) -> list[list[tuple[NetworkSpec, int]]]:
        """Networks with their seeds, the first seed of all before the second of any.

        No network of a phase is begun before all of the phase before are. The atlas's halves are phases, so that what
        confirms is trained last.
        """
        phases = [[(spec, seed) for seed in self.seeds for spec in self._listed()]]
        for names in self.atlas.halves() if self.atlas else ():
            again = quarter_of(names) if self.atlas and self.atlas.second_seed else []
            phase = [(spec, seed) for seed in self.seeds for spec in self._made(names)]
            phases.append(phase + [(spec, max(self.seeds) + 1) for spec in self._made(again)])
        return [phase for phase in phases if phase]

    @property
    def size(self) -> int:
        """Number of trainings, those of `phases`, without making a list that may be long."""
        if self.parts or self.measured:
            return sum(part.size for part in self.parts)
        again = sum(len(names) // 4 for names in self.atlas.halves()) if self.atlas and self.atlas.second_seed else 0
        return len(self.specs()) * len(self.seeds) + again * len(self.depths)

    def _listed(self) -> list[NetworkSpec]:
        return self._made(self.schemes) + [network_from_name(name) for name in self.networks]

    def _made(self, schemes: Sequence[str | SchemeTable]) -> list[NetworkSpec]:
        return networks_of(schemes, self.depths, self.block, tuple(self.widths), self.form)

    def paper_networks(self) -> dict[str, tuple[str, int]]:
        """Name of each network → scheme and depth of the paper's one that it stands for."""
        return paper_networks(self.specs(), self.depths, self.paper_depths)

    def _scalable(self) -> Sequence[str]:
        """The keys that a scaled-down form may replace."""
        measured = ("schemes", "depths", "image_size", "images", "repeats")
        return measured if self.measured else [key for key in ScaleTable.model_fields if key not in ("images", "repeats")]

    def before(self) -> dict[str, Any]:
        """What a scaled-down form may replace, as text for saying so."""
        if self.measured:
            return {**self.measured.model_dump(), "depths": self.depths, "schemes": len(self.schemes)}
        dataset = self.trained_on()
        return {
            "epochs": self.full_recipe().epochs,
            "train_examples": dataset.train_examples or "all",
            "test_examples": dataset.test_examples or "all",
            "image_size": dataset.image_size or "the dataset's",
            "depths": self.depths,
            "seeds": self.seeds,
            "schemes": len(self.schemes),
            "networks": len(self.networks),
            "schemes_per_half": self.atlas and (self.atlas.schemes_per_half or "all"),
        }

    def full_recipe(self) -> Recipe:
        """The recipe with everything in it."""
        base = recipe_from_name(self.recipe.name) if self.recipe.name else recipe_for(self.trained_on().name)
        return base.with_changes(**self.recipe.model_dump(exclude={"name"}))

    def with_precision(self, precision: Precision) -> Study:
        """The same study trained in another precision."""
        return self.model_copy(update={"recipe": self.recipe.model_copy(update={"precision": precision})})

    def with_directions(self, directions: Directions) -> Study:
        """The same study with PGD's gradients computed in `directions`, where it leaves that open."""
        open_ = self.directions == "auto" and self.engine == "native"
        return self.model_copy(update={"directions": directions}) if open_ else self

    def probe(self) -> MaskingProbe | None:
        """How gradients are checked: at the largest ε of the study; None where it makes no attack or wants no check."""
        budgets = [p.eps for p in self.all_perturbations() if isinstance(p, Attack) and p.ball == "linf"]
        if not budgets or not self.masking_images:
            return None
        return MaskingProbe(max(budgets), self.masking_images, queries=PROBE_QUERIES, engine=self.engine)

    def all_perturbations(self) -> list[Perturbation]:
        """Every noise and attack, lists of levels taken apart, in the order of the file."""
        of_study = {"engine": self.engine, "directions": self.directions}
        return [made for table in self.perturbations for made in perturbations_of(table, of_study)]
