"""Chooses the target classes of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations import draws
from robustbench_zs.perturbations.native.losses import TargetedLoss

Choice = Callable[[Tensor, Tensor, Tensor], Tensor]
"""N×K logits of clean images, N labels, N numbers of the images → N×T classes."""


@dataclass(frozen=True)
class Targets:
    """Target classes that are tried one after another, each with all restarts.

    Args:
        choice: which classes. An attempt at the label itself is not made.
        loss: what is made larger.
        reached: whether only the target counts; otherwise every class but the label does.
    """

    choice: Choice
    loss: TargetedLoss
    reached: bool = False


@dataclass(frozen=True)
class Nearest:
    """The classes with the `most` largest logits on the clean image, the label left out (Croce and Hein 2020, §4)."""

    most: int

    def __call__(self, logits: Tensor, labels: Tensor, numbers: Tensor) -> Tensor:
        others = logits.scatter(1, labels[:, None], -torch.inf)
        return others.topk(min(self.most, logits.shape[1] - 1), dim=1).indices


@dataclass(frozen=True)
class One:
    """One class per image: the `next` one (the label + 1, around), a `random` other one that belongs to the image, the
    `least-likely` other one when clean, or one by its number.

    Raises (the call):
        RequestError: no such class.
    """

    name: str
    seed: int = 0

    def __call__(self, logits: Tensor, labels: Tensor, numbers: Tensor) -> Tensor:
        return self._classes(logits, labels, numbers)[:, None]

    def _classes(self, logits: Tensor, labels: Tensor, numbers: Tensor) -> Tensor:
        classes = logits.shape[1]
        if self.name == "next":
            return (labels + 1) % classes
        if self.name == "least-likely":
            return logits.scatter(1, labels[:, None], torch.inf).argmin(1)
        if self.name == "random":
            unit = draws.uniform(self.seed, draws.TARGET, numbers, ()).to(labels.device)
            place = (unit * (classes - 1)).long().clamp_max(classes - 2)
            return place + (place >= labels)
        if int(self.name) >= classes:
            raise RequestError(f"the target must be a class from 0 to {classes - 1}, not {self.name}")
        return torch.full_like(labels, int(self.name))
