"""What is evaluated: a network with the facts that go into a row of results."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from robustbench_zs.datasets import Dataset
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.model import Model
from robustbench_zs.evaluation.outcomes import evaluation_mode
from robustbench_zs.evaluation.own_network import OwnNetwork, own_copy
from robustbench_zs.evaluation.steadiness import IMAGES, unsteadiness
from robustbench_zs.networks.spec import block_moduli
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.system.files import canonical_json
from robustbench_zs.training.checkpoint import Checkpoint, weights_digest
from robustbench_zs.training.header import DatasetHeader, Header, network_spec

Source = Checkpoint | Model | nn.Module
"""What can be evaluated."""


def trained_on(source: Source) -> DatasetHeader | None:
    """What is known of the training images; nothing of those of a model of the user's own."""
    return source.header.dataset if isinstance(source, Checkpoint) else None


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and where it comes from; `scheme` is None where it is unknown or differs from block to block (then
    `block_moduli` has a list per block), `train_digest` is that of its training images, `recipe_digest` that of its recipe,
    `build` loads it when it is needed."""

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
    train_digest: str | None
    recipe_digest: str | None
    build: Callable[[], nn.Module]

    @cached_property
    def module(self) -> nn.Module:
        return self.build()

    def on(self, device: torch.device) -> nn.Module:
        """The network on a device. Only ours is laid out with its channels last: another may read its features by `view`."""
        module = self.module.to(device)
        return module if self.dataset is None else module.to(memory_format=torch.channels_last)

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
            train_digest=header.dataset.train_digest,
            recipe_digest=hashlib.sha256(canonical_json(header.recipe).encode()).hexdigest(),
            build=build,
        )

    @staticmethod
    def of(source: Source) -> Subject:
        """The subject of a checkpoint, of a model by name, or of a module at hand.

        Raises:
            RequestError: the model cannot be loaded.
        """
        if isinstance(source, Checkpoint):
            return Subject.of_header(source.header, source.digest, str(source.path), source.network)
        module = source.load() if isinstance(source, Model) else own_copy(source)
        name = source.factory if isinstance(source, Model) else type(source).__name__
        normalization = source.normalization if isinstance(source, Model) else None
        return Subject(
            checkpoint=source.weights or name if isinstance(source, Model) else name,
            digest=weights_digest(f"model {name}{normalization or ''}", module.state_dict()),
            network=name,
            scheme=None,
            scheme_name=None,
            block_moduli=None,
            dataset=None,
            image_shape=None,
            classes=None,
            seed=None,
            diverged_at=None,
            train_digest=None,
            recipe_digest=None,
            build=lambda: OwnNetwork(module, normalization),
        )

    def check_fits(self, dataset: Dataset, split: str) -> None:
        """Refuse a dataset whose images or classes are not those of the network, by a `RequestError`."""
        shape = dataset.split(split).shape
        if self.classes is None:
            self._try_on(dataset, split)
        if self.image_shape is not None and (shape != self.image_shape or not dataset.has_classes(self.classes)):
            raise RequestError(
                f"{Path(self.checkpoint).name} takes images of {'×'.join(map(str, self.image_shape))} in {self.classes} "
                f"classes, but {dataset.name} has {'×'.join(map(str, shape))} in {dataset.classes}: use the dataset it was "
                "trained on"
            )

    def unsteadiness(self, dataset: Dataset, split: str, device: torch.device) -> str | None:
        """A warning if the logits of the user's own network depend on more than the image; those of ours never do."""
        if self.dataset is not None:
            return None
        return unsteadiness(self.on(device), dataset.split(split).images(slice(0, IMAGES)).to(device))

    def _try_on(self, dataset: Dataset, split: str) -> None:
        data = dataset.split(split)
        for count in (2, 1):  # a split may end with a batch of one
            images = data.images(slice(0, count))
            try:
                with evaluation_mode(self.module), torch.no_grad():
                    shape = tuple(self.module(images).shape)
            except RequestError:
                raise
            except Exception as error:
                raise RequestError(
                    f"{self.network} does not take images of {'×'.join(map(str, images.shape[1:]))}"
                    f"{' one at a time' if count == 1 else ''}: {str(error)[:200]}"
                ) from error
            if len(shape) != 2 or shape[0] != count or not dataset.has_classes(shape[1]):
                raise RequestError(
                    f"{self.network} should give {count}×{dataset.classes} logits for {count} images of "
                    f"{dataset.name}, but gave {shape}: check the number of classes"
                )
