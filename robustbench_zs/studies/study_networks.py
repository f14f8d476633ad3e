"""Which networks a study is about, and how it is scaled down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from robustbench_zs.networks import NetworkSpec
from robustbench_zs.networks.spec import Form, Scheme, default_block
from robustbench_zs.schemes import MultistepScheme, scheme_from_name
from robustbench_zs.schemes.atlas import HALVES, atlas_names
from robustbench_zs.schemes.catalog import multistep_name
from robustbench_zs.schemes.trainable import TRAINABLE
from robustbench_zs.system.limits import FileTable

Coefficient = Annotated[str, BeforeValidator(str, json_schema_input_type=float | str), Field(max_length=100)]


class SchemeTable(FileTable):
    """A scheme by its coefficients, read as exact text."""

    alphas: list[Coefficient] = Field(min_length=1)
    beta: Coefficient

    def scheme(self) -> MultistepScheme:
        unnamed = MultistepScheme(self.alphas, self.beta)
        return MultistepScheme(self.alphas, self.beta, multistep_name(unnamed))


class AtlasTable(FileTable):
    """Schemes of the atlas beside those that are listed, with the study's seeds; see `schemes.atlas`.

    Args:
        schemes_per_half: so many of the first of each half; all by default.
        second_seed: `"quarter"` trains a random quarter of each half with one seed more, always the same quarter.
    """

    half: Literal["discovery", "confirmation", "both"] = "both"
    schemes_per_half: int | None = None
    second_seed: Literal["quarter"] | None = None

    def halves(self) -> list[list[str]]:
        """The names of each half, discovery first."""
        return [atlas_names(half, self.schemes_per_half) for half in HALVES if self.half in (half, "both")]

    @model_validator(mode="after")
    def _check(self) -> AtlasTable:
        self.halves()
        return self


def networks_of(
    schemes: Sequence[str | SchemeTable],
    depths: Sequence[int],
    block: str | None = None,
    widths: tuple[int, ...] = (),
    form: Form = "cifar",
) -> list[NetworkSpec]:
    """Each depth with all schemes; besides schemes there are `resnet`, `zerosnet-tra` and `lm-original`.

    Raises:
        RequestError: an unknown scheme, a depth that is not allowed.
    """
    made: list[Scheme] = [
        s.scheme() if isinstance(s, SchemeTable) else None if s == "resnet" else TRAINABLE.get(s) or scheme_from_name(s)
        for s in schemes
    ]
    return [
        NetworkSpec(scheme, depth, block or default_block(depth, form), widths, form) for depth in depths for scheme in made
    ]


def paper_networks(
    specs: Sequence[NetworkSpec], depths: Sequence[int], paper_depths: Sequence[int]
) -> dict[str, tuple[str, int]]:
    """Name of each network → scheme and depth of the paper's one that it stands for."""
    depth_of = dict(zip(depths, paper_depths or depths, strict=False))
    return {spec.name: (spec.scheme_name or spec.name, depth_of.get(spec.depth, spec.depth)) for spec in specs}


Scale = Literal["smoke", "small"]


class ScaleTable(FileTable):
    """A scaled-down form: what stands here replaces the study's own."""

    epochs: int | None = None
    train_examples: int | None = None
    test_examples: int | None = None
    image_size: int | None = None
    depths: list[int] | None = None
    seeds: list[int] | None = None
    schemes: list[str] | None = None
    networks: list[str] | None = None
    schemes_per_half: int | None = None
    images: int | None = None
    repeats: int | None = None
