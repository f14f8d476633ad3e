"""What can be asked of a network, as a value: its key, how it is answered, and how an answer is kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import torch
from torch import nn

from robustbench_zs.datasets import Split
from robustbench_zs.perturbations.native import Directions
from robustbench_zs.system.files import canonical_json

Answer = TypeVar("Answer")


class Bench(Protocol):
    """Where a question is answered: a network, images, and what is known already."""

    device: torch.device
    batch_size: int

    @property
    def asked(self) -> Sequence[Question[Any]]:
        """All that is asked of the network, since one pass may answer several questions."""

    def network(self) -> nn.Module:
        """The network, on `device`."""

    def images(self, split: str) -> Split: ...

    def ask(self, question: Question[Answer]) -> Answer:
        """The answer to another question, which is found first where it is not known."""

    def recall(self, question: Question[Answer]) -> Answer | None:
        """The answer to another question, if it is known."""


class Question(ABC, Generic[Answer]):
    """Something to find out about a network on the images of a split; subclasses are frozen dataclasses.

    `required` is whether a report needs the answer. Adding a question is a file here, see CONTRIBUTING.
    """

    required: ClassVar[bool] = True

    @property
    def split(self) -> str:
        return "test"

    @property
    @abstractmethod
    def label(self) -> str:
        """Short text for progress."""

    @property
    @abstractmethod
    def passes(self) -> float:
        """About how many forward passes an image takes, with a gradient as two."""

    @abstractmethod
    def parameters(self) -> list[Any]:
        """What the answer depends on beside weights and images, as JSON values; first the version of the code."""

    @abstractmethod
    def answer(self, bench: Bench) -> Mapping[Any, Answer]:
        """The answer to this question, and to others of its kind that the same pass answers.

        Raises:
            UnfinishedError: out of memory.
        """

    @abstractmethod
    def pack(self, answer: Answer) -> bytes:
        """An answer as the store keeps it."""

    @abstractmethod
    def read(self, packed: bytes, data: Split, environment: str) -> Answer:
        """An answer from the store; `environment` is what it was computed with, as canonical JSON.

        Raises:
            ValueError: it is none.
        """

    def with_directions(self, directions: Directions) -> Self:
        """The question with the gradients of attacks computed in `directions`, where it leaves that open."""
        return self

    def key(self, weights_digest: str, data: Split) -> str:
        """What the answer is a function of, as canonical JSON."""
        return canonical_json([weights_digest, data.digest, len(data), *self.parameters()])
