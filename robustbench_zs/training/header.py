"""What a checkpoint says about itself: the network, the images, the recipe, how it was trained."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, FailFast, Field, ValidationError, model_validator

from robustbench_zs.networks import NetworkSpec
from robustbench_zs.networks.spec import Form, Projection, Scheme
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.schemes.coefficients import serialize_coefficient
from robustbench_zs.schemes.trainable import TRAINABLE
from robustbench_zs.system.limits import MAX_KEYS, FileTable, Name, Seed, at_most, checked_length

FORMAT = 1

MAX_EPOCHS = 100_000


class Part(FileTable):
    """A part of a file that people do not write, where NaN and infinity are refused, and a great number of keys too."""

    model_config = ConfigDict(allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _few_keys(cls, data: Any) -> Any:
        return checked_length(data, MAX_KEYS)


class SchemeHeader(Part):
    """Coefficients as text, exact ones as decimals or fractions, floats in hexadecimal."""

    name: Name | None = Field(max_length=10_000)
    alphas: list[str] = Field(max_length=128)
    beta: str


class NetworkHeader(Part):
    """`scheme` is coefficients, the name of a family with a trainable parameter a block, or null for the ResNet."""

    name: Name = Field(max_length=10_000)
    scheme: SchemeHeader | Literal["zerosnet-tra", "lm-original"] | None
    depth: int
    block: str
    widths: list[int] = Field(min_length=1, max_length=4)
    form: Form = "cifar"
    projection: Projection = "convolution"
    channels: int = Field(ge=1, le=4096)
    classes: int = Field(ge=1, le=100_000)


Side = Annotated[int, Field(ge=1, le=4096)]


class DatasetHeader(Part):
    name: Name = Field(max_length=1000)
    train_digest: str
    train_examples: int = Field(ge=1, lt=2**63)
    image_size: tuple[Side, Side]
    resized: bool = False

    @property
    def resize_to(self) -> int | None:
        """The `image_size` to load such a dataset with; None where images are taken as they are."""
        return self.image_size[0] if self.resized else None


class EpochHeader(Part):
    """One epoch; a number that was not finite, or a test accuracy that was not taken, is null."""

    epoch: int = Field(ge=1, le=MAX_EPOCHS)
    learning_rate: float
    loss: float | None
    train_accuracy: float | None
    test_accuracy: float | None
    seconds: float = Field(ge=0, le=1e9)
    block_parameters: list[float | None] | None = Field(None, max_length=2000)


History = Annotated[list[EpochHeader], FailFast(), at_most(MAX_EPOCHS), Field(min_length=1)]


class ExecutionHeader(Part):
    """How a training ran, see `train.Execution`."""

    device: str = Field(max_length=100)
    threads: int = Field(ge=1, le=1024)
    layout: Literal["channels_last", "contiguous_format"]
    processes: int = Field(ge=1, le=100_000)
    compiled: bool = False
    places: int = Field(1, ge=1, le=1000)
    streams: int = Field(1, ge=1, le=1000)


def _checked_execution(execution: dict[str, Any]) -> dict[str, Any]:
    try:
        ExecutionHeader.model_validate(execution)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error
    return execution


ExecutionTable = Annotated[dict[str, str | int | bool], AfterValidator(_checked_execution), at_most(MAX_KEYS)]


class Header(Part):
    """Everything a checkpoint says about itself besides the weights."""

    format: int = Field(ge=FORMAT, le=FORMAT)
    network: NetworkHeader
    dataset: DatasetHeader
    recipe: Annotated[dict[str, str | int | float], at_most(MAX_KEYS)]
    seed: Seed
    training_key: str
    execution: ExecutionTable
    history: History
    diverged_at: int | None = Field(ge=1, le=MAX_EPOCHS)
    environment: Annotated[dict[str, str | int | None], at_most(MAX_KEYS)]
    rounded_from: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Digest of the float32 weights, where those here are theirs rounded to half precision."""

    @property
    def seconds(self) -> float:
        """Time of the training."""
        return sum(epoch.seconds for epoch in self.history)

    @property
    def best(self) -> EpochHeader | None:
        """The epoch with the best test accuracy; recorded, though only the recipe's `weights = "best"` keeps its weights."""
        known = [e for e in self.history if e.test_accuracy is not None]
        return max(known, key=lambda e: e.test_accuracy or 0.0, default=None)


def network_header(spec: NetworkSpec, channels: int, classes: int) -> NetworkHeader:
    return NetworkHeader(
        name=spec.name,
        scheme=_scheme_header(spec.scheme),
        depth=spec.depth,
        block=spec.block,
        widths=list(spec.widths),
        form=spec.form,
        projection=spec.projection,
        channels=channels,
        classes=classes,
    )


def _scheme_header(scheme: Scheme) -> Any:
    if not isinstance(scheme, MultistepScheme):
        return scheme and scheme.name
    assert scheme.beta is not None
    return SchemeHeader(
        name=scheme.name,
        alphas=[serialize_coefficient(a) for a in scheme.alphas],
        beta=serialize_coefficient(scheme.beta),
    )


def description(header: NetworkHeader) -> dict[str, Any]:
    """What a network is, without the names it goes by."""
    parts = header.model_dump(mode="json")
    del parts["name"]
    if header.projection == "convolution":  # training keys from before there was another stay as they are
        del parts["projection"]
    if isinstance(header.scheme, SchemeHeader):
        del parts["scheme"]["name"]
    return parts


def network_spec(header: NetworkHeader) -> NetworkSpec:
    """The specification that a header describes; `RequestError` where it is out of range."""
    scheme: Scheme
    if isinstance(header.scheme, SchemeHeader):
        scheme = MultistepScheme(header.scheme.alphas, header.scheme.beta, header.scheme.name)
    else:
        scheme = None if header.scheme is None else TRAINABLE[header.scheme]
    return NetworkSpec(scheme, header.depth, header.block, tuple(header.widths), header.form, header.projection)


def first_problem(error: Exception) -> str:
    """One sentence for a validation error: where and what, of the first problem."""
    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}" if place else problem["msg"]


def finite(value: float) -> float | None:
    """The number, or None where it is NaN or infinite, as JSON wants it."""
    return value if math.isfinite(value) else None
