"""What is evaluated: a network with the facts that go into a row of results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import nn

from robustbench_zs.datasets import Dataset
from robustbench_zs.errors import RequestError
from robustbench_zs.networks.spec import block_moduli
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.training.checkpoint import Checkpoint, Header, network_spec


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and where it comes from; `scheme` is None where it is unknown or differs from block to
    block (then `block_moduli` has a list a block), `build` loads it when it is needed."""

    checkpoint: str
    digest: str
    network: str
    scheme: MultistepScheme | None
    scheme_name: str | None
    block_moduli: list[list[float] | None] | None
    dataset: str | None
    image_shape: tuple[int, int, int] | None
    classes: int | None
    seed: int | None
    diverged_at: int | None
    build: Callable[[], nn.Module]

    @cached_property
    def module(self) -> nn.Module:
        return self.build()

    @staticmethod
    def of_header(header: Header, digest: str, path: str, build: Callable[[], nn.Module]) -> Subject:
        spec = network_spec(header.network)
        return Subject(
            checkpoint=path,
            digest=digest,
            network=header.network.name,
            scheme=spec.fixed_scheme,
            scheme_name=spec.scheme_name,
            block_moduli=block_moduli(spec, header.history[-1].block_parameters),
            dataset=header.dataset.name,
            image_shape=(header.network.channels, *header.dataset.image_size),
            classes=header.network.classes,
            seed=header.seed,
            diverged_at=header.diverged_at,
            build=build,
        )

    @staticmethod
    def of_checkpoint(checkpoint: Checkpoint) -> Subject:
        return Subject.of_header(checkpoint.header, checkpoint.digest, str(checkpoint.path), checkpoint.network)

    def check_fits(self, dataset: Dataset, split: str) -> None:
        """Raises: RequestError: the network takes other images or has other classes than the dataset."""
        shape = dataset.split(split).shape
        if self.image_shape is not None and (shape != self.image_shape or dataset.classes != self.classes):
            raise RequestError(
                f"{Path(self.checkpoint).name} takes images of {'×'.join(map(str, self.image_shape))} in {self.classes} "
                f"classes, but {dataset.name} has {'×'.join(map(str, shape))} in {dataset.classes}: give the --dataset it "
                "was trained on"
            )
