"""One network to train, as a value: everything that decides its weights, and where they go."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from robustbench_zs.datasets import Dataset
from robustbench_zs.datasets.load import Images
from robustbench_zs.networks import NetworkSpec
from robustbench_zs.networks.build import Network, build_network
from robustbench_zs.system.files import canonical_json
from robustbench_zs.training.checkpoint import Checkpoint, read_checkpoint
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.header import description, network_header
from robustbench_zs.training.recipe import Recipe
from robustbench_zs.training.streams import stream

TRAINING_VERSION = 1
"""Raised when a change of the code changes the weights that a recipe and a seed give."""


@dataclass(frozen=True)
class TrainingTask:
    """One network to train: everything that decides its weights, and where they go."""

    network: NetworkSpec
    dataset: str
    data_dir: str | None
    train_examples: int | None
    test_examples: int | None
    recipe: Recipe
    seed: int
    folder: str
    image_size: int | None = None

    @property
    def images(self) -> Images:
        """Which images it is trained and tested on."""
        return Images(self.dataset, self.data_dir, self.train_examples, self.test_examples, self.image_size)

    def load_dataset(self) -> Dataset:
        return self.images.load()

    def network_to_train(self, execution: Execution) -> Network:
        """The network with the weights that the seed draws, on the device and in the layout of `execution`."""
        dataset = self.load_dataset()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.set_state(stream(self.seed, "weights").get_state())
            network = build_network(
                self.network, dataset.train.shape[0], dataset.classes, *dataset.train.channel_statistics()
            )
        return network.to(memory_format=getattr(torch, execution.layout)).to(execution.device)

    @property
    def key(self) -> str:
        """SHA-256 of what decides the weights: network, training images, recipe, seed and training version."""
        dataset = self.load_dataset()
        what = {
            "version": TRAINING_VERSION,
            "network": description(network_header(self.network, dataset.train.shape[0], dataset.classes)),
            "train_digest": dataset.train.digest,
            "recipe": self.recipe.as_dict(),
            "seed": self.seed,
        }
        return hashlib.sha256(canonical_json(what).encode()).hexdigest()

    @property
    def path(self) -> Path:
        """The checkpoint's file; part of the key is in its name, so another recipe never overwrites it."""
        stem = re.sub(r"[^A-Za-z0-9.+-]+", "_", self.network.name)[:100]
        return Path(self.folder) / f"{stem}-seed{self.seed}-{self.key[:8]}.safetensors"

    @property
    def state_path(self) -> Path:
        """The file that holds the state of the training until it is done."""
        return self.path.with_suffix(".state.safetensors")

    def existing(self) -> Checkpoint | None:
        """The finished checkpoint of this task, if there is one.

        Raises:
            RequestError: the file is there but damaged.
        """
        if not self.path.exists():
            return None
        checkpoint = read_checkpoint(self.path)
        return checkpoint if checkpoint.header.training_key == self.key else None
