"""The study file: which schemes, depths and seeds, on which images, under which perturbations."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import make_attack
from robustbench_zs.networks import NetworkSpec, network_from_name
from robustbench_zs.networks.spec import default_block
from robustbench_zs.perturbations import ConstantNoise, GaussianNoise, Perturbation, UniformNoise, parse_number
from robustbench_zs.schemes import MultistepScheme, scheme_from_name
from robustbench_zs.schemes.catalog import multistep_name
from robustbench_zs.training import Recipe, recipe_for, recipe_from_name
from robustbench_zs.training.recipe import Augmentation, Precision, Schedule, Weights

LARGEST_FILE = 2**20
MOST_NETWORKS = 10_000


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise RequestError(f"a number is needed, not {type(value).__name__}")
    return parse_number(value, "the number", -1e6, 1e6)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Number = Annotated[float, BeforeValidator(_number)]
Numbers = Annotated[list[Number], BeforeValidator(_listed), Field(min_length=1, max_length=100)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Coefficient = Annotated[str, BeforeValidator(str), Field(max_length=100)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetTable(_Table):
    name: str = Field(max_length=1000)
    train_examples: int | None = Field(None, ge=1)
    test_examples: int | None = Field(None, ge=1)
    image_size: int | None = None


class SchemeTable(_Table):
    """A scheme by its coefficients, read as exact text."""

    alphas: list[Coefficient] = Field(min_length=1)
    beta: Coefficient

    def scheme(self) -> MultistepScheme:
        unnamed = MultistepScheme(self.alphas, self.beta)
        return MultistepScheme(self.alphas, self.beta, multistep_name(unnamed))


class RecipeTable(_Table):
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


class GaussianTable(_Table):
    kind: Literal["gaussian"]
    delta: Numbers
    seed: Seed = 1


class UniformTable(_Table):
    kind: Literal["uniform"]
    low: Number
    high: Number
    seed: Seed = 1


class ConstantTable(_Table):
    kind: Literal["constant"]
    mu: Numbers


class FGSMTable(_Table):
    kind: Literal["fgsm"]
    eps: Numbers


class PGDTable(_Table):
    kind: Literal["pgd"]
    eps: Numbers
    steps: int = 10
    step_size: Number | None = None
    restarts: int = 1
    seed: Seed = 1


PerturbationTable = Annotated[
    GaussianTable | UniformTable | ConstantTable | FGSMTable | PGDTable, Field(discriminator="kind")
]


Scale = Literal["smoke", "small"]


class ScaleTable(_Table):
    """A scaled-down form: what stands here replaces the study's own."""

    epochs: int | None = None
    train_examples: int | None = None
    test_examples: int | None = None
    image_size: int | None = None
    depths: list[int] | None = None
    seeds: list[int] | None = None
    schemes: list[str] | None = None


class Study(_Table):
    """A study as its file states it; every value has been checked, down to each network and perturbation.

    `note` is shown in the report; `paper` is the table whose numbers stand beside ours there. `scaled` says how a
    scaled-down form differs, `paper_depths` the full depths that its depths stand for, in order; no file sets these.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    title: str = Field("", max_length=500)
    note: str = Field("", max_length=5000)
    scaled: str = ""
    paper_depths: list[int] = Field(default_factory=list)
    paper: Literal["table1", "table2", "table3", "table6", "table7", "figure4"] | None = None
    scale: dict[Scale, ScaleTable] = Field(default_factory=dict)
    dataset: DatasetTable
    schemes: list[str | SchemeTable] = Field(default_factory=list, max_length=1000)
    depths: list[int] = Field(default_factory=lambda: [20], min_length=1, max_length=100)
    widths: list[int] = Field(default_factory=list, max_length=4)
    block: Literal["basic", "bottleneck"] | None = None
    networks: list[str] = Field(default_factory=list, max_length=1000)
    seeds: list[Seed] = Field(default_factory=lambda: [0], min_length=1, max_length=1000)
    recipe: RecipeTable = RecipeTable()
    engine: Literal["foolbox", "torchattacks"] = "foolbox"
    perturbations: list[PerturbationTable] = Field(default_factory=list, max_length=1000)

    @field_validator("seeds", "depths", "networks", "schemes")
    @classmethod
    def _distinct(cls, values: list[Any]) -> list[Any]:
        if any(value in values[:i] for i, value in enumerate(values)):
            raise ValueError("the same value stands there twice")
        return values

    @model_validator(mode="after")
    def _check(self) -> Study:
        specs = self.specs()
        if not 1 <= len(specs) * len(self.seeds) <= MOST_NETWORKS:
            raise ValueError(
                f"a study trains 1 to {MOST_NETWORKS} networks, not {len(specs) * len(self.seeds)}: see schemes"
            )
        self.full_recipe()
        labels = [p.label for p in self.all_perturbations()]
        if len(set(labels)) < len(labels):
            raise ValueError("two perturbations are the same")
        return self

    @property
    def request(self) -> str:
        """What `zsbench run` takes for this study."""
        scale = self.scaled.partition("`")[2].partition("`")[0]
        return f"{self.name.removesuffix(f'-{scale}')} --scale {scale}" if scale else self.name

    def specs(self) -> list[NetworkSpec]:
        """The networks, each depth with all schemes, then those given by name."""
        schemes = [scheme_from_name(s) if isinstance(s, str) else s.scheme() for s in self.schemes]
        made = [
            NetworkSpec(scheme, depth, self.block or default_block(depth), tuple(self.widths))
            for depth in self.depths
            for scheme in schemes
        ]
        return made + [network_from_name(name) for name in self.networks]

    def paper_networks(self) -> dict[str, tuple[str, int]]:
        """Name of each network → scheme and depth of the paper's one that it stands for."""
        depth_of = dict(zip(self.depths, self.paper_depths or self.depths, strict=False))
        return {spec.name: (spec.scheme_name or spec.name, depth_of.get(spec.depth, spec.depth)) for spec in self.specs()}

    def full_recipe(self) -> Recipe:
        """The recipe with everything in it."""
        base = recipe_from_name(self.recipe.name) if self.recipe.name else recipe_for(self.dataset.name)
        return base.with_changes(**self.recipe.model_dump(exclude={"name"}))

    def all_perturbations(self) -> list[Perturbation]:
        """Every noise and attack, lists of levels taken apart, in the order of the file."""
        made: list[Perturbation] = []
        for table in self.perturbations:
            match table:
                case GaussianTable():
                    made += [GaussianNoise(delta, table.seed) for delta in table.delta]
                case UniformTable():
                    made.append(UniformNoise(table.low, table.high, table.seed))
                case ConstantTable():
                    made += [ConstantNoise(mu) for mu in table.mu]
                case FGSMTable():
                    made += [make_attack("fgsm", eps, engine=self.engine) for eps in table.eps]
                case PGDTable():
                    made += [
                        make_attack("pgd", eps, table.steps, table.step_size, table.restarts, table.seed, self.engine)
                        for eps in table.eps
                    ]
        return made


def find_study(study: str | Path) -> Path:
    """The file of a study: a path, or a name looked up in `benchmarks/` and then among those the package ships.

    Raises:
        RequestError: there is none; the sentence lists those there are.
    """
    path = Path(study)
    if path.is_file():
        return path
    name = str(study)
    shipped = Path(str(resources.files("robustbench_zs"))) / "benchmarks"
    places = [Path("benchmarks"), shipped]
    if re.fullmatch(r"[A-Za-z0-9._-]+", name):
        for place in places:
            if (place / f"{name}.toml").is_file():
                return place / f"{name}.toml"
    known = sorted({p.stem for place in places if place.is_dir() for p in place.glob("*.toml")})
    raise RequestError(f"there is no study {name[:200]!r}: give a TOML file, or one of {', '.join(known)}")


def load_study(study: str | Path, scale: str | None = None) -> Study:
    """Read and check a study file. Decimals in it are kept as text, so coefficients are exact.

    Args:
        study: a TOML file, or the name of a study.
        scale: one of the scaled-down forms in the file, `"smoke"` or `"small"`; its results go by the name NAME-SCALE.

    Raises:
        RequestError: no such study or scale, not TOML, an unknown key, a value out of range; the sentence names the place.
    """
    path = find_study(study)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise RequestError(f"{path} is larger than a study file can be (1 MiB)")
        data = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=str)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, RecursionError) as error:
        raise RequestError(f"{path} is not a TOML file that can be read: {error}") from error
    try:
        for key in {"scaled", "paper_depths"} & set(data):
            raise RequestError(f"{path}: the key {key!r} is not for study files")
        full = Study.model_validate(data)
        return full if scale is None else Study.model_validate(_scaled_down(data, full, scale))
    except ValidationError as error:
        raise RequestError(f"{path}: {_sentence(error)}") from error


def _scaled_down(data: dict[str, Any], full: Study, scale: str) -> dict[str, Any]:
    """The content of a study file with what a scale replaces, and a text that says what that is."""
    table = next((t for name, t in full.scale.items() if name == scale), None)
    if table is None:
        there_are = ", ".join(full.scale) or "none"
        raise RequestError(f"the study {full.name!r} has no scale {scale[:40]!r}; there are: {there_are}")
    changes = table.model_dump(exclude_none=True)
    places = {"epochs": "recipe", "train_examples": "dataset", "test_examples": "dataset", "image_size": "dataset"}
    before = {
        "epochs": full.full_recipe().epochs,
        "train_examples": full.dataset.train_examples or "all",
        "test_examples": full.dataset.test_examples or "all",
        "image_size": full.dataset.image_size or "as they are",
        "depths": full.depths,
        "seeds": full.seeds,
        "schemes": f"{len(full.schemes)}",
    }
    result = {**data, "name": f"{full.name}-{scale}", "scale": {}}
    texts = []
    for key, value in changes.items():
        if key in places:
            result[places[key]] = {**result.get(places[key], {}), key: value}
        else:
            result[key] = value
        now, was = (
            " ".join(map(str, v)) if isinstance(v, list) else v
            for v in (len(value) if key == "schemes" else value, before[key])
        )
        if now != was:
            texts.append(f"{key.replace('_', ' ')} {now} instead of {was}")
    return {**result, "scaled": f"`{scale}`: {', '.join(texts)}", "paper_depths": full.depths}


def _sentence(error: ValidationError) -> str:
    """The first problem as one sentence, with the keys that are allowed where one is unknown."""
    # An unknown key is what the user can mend first; it often is the cause of a missing one.
    problems = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    problem = problems[0]
    place = ".".join(str(part) for part in problem["loc"] if part not in ("str", "SchemeTable"))
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(_fields_beside(problem["loc"]))
        return f"unknown key {place!r}; allowed there are {allowed}"
    if problem["type"] == "missing":
        return f"the key {place!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    given = "" if problem["type"] == "value_error" else f", not {str(problem['input'])[:80]!r}"
    return f"{place}: {message[0].lower()}{message[1:]}{given}" if place else message


def _fields_beside(location: tuple[int | str, ...]) -> list[str]:
    tables: dict[str, type[_Table]] = {
        "dataset": DatasetTable,
        "recipe": RecipeTable,
        "smoke": ScaleTable,
        "small": ScaleTable,
        "schemes": SchemeTable,
        "gaussian": GaussianTable,
        "uniform": UniformTable,
        "constant": ConstantTable,
        "fgsm": FGSMTable,
        "pgd": PGDTable,
    }
    owner: type[_Table] = Study
    for part in location[:-1]:
        owner = tables.get(str(part), owner)
    return list(owner.model_fields)
