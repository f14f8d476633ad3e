"""The values of a search: the images, the method, the attempts and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from robustbench_zs.perturbations.base import Directions
from robustbench_zs.perturbations.native.losses import Loss
from robustbench_zs.perturbations.native.norms import Norm
from robustbench_zs.perturbations.native.rules import Rule
from robustbench_zs.perturbations.native.targets import Targets


class Images(Protocol):
    """Labelled images that are read by index."""

    @property
    def labels(self) -> Tensor: ...

    def images(self, indices: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class ChosenImages:
    """N images that are attacked.

    Args:
        data: what they are among.
        places: N, where each is in `data`; it should be right when clean.
        numbers: N, the number of each, to which its random starts belong; its place by default.
    """

    data: Images
    places: Sequence[int]
    numbers: Sequence[int] | None = None

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Places and numbers, int64."""
        numbers = self.places if self.numbers is None else self.numbers
        return torch.as_tensor(np.asarray(self.places, np.int64)), torch.as_tensor(np.asarray(numbers, np.int64))


@dataclass(frozen=True, eq=False)
class Found:
    """What was found for N images.

    Args:
        fooled_at: N, the ε at which an example was found; infinite where none was.
        close_at: N, the smallest ε at which some iterate was wrong, but not clearly; infinite where none was.
        examples: N×C×H×W on the device, the example, or the last iterate where there is none; None unless asked for.
        by: N, the place of the method that fooled it, see `search_in_turn`.
    """

    fooled_at: npt.NDArray[np.float64]
    close_at: npt.NDArray[np.float64]
    examples: Tensor | None
    by: npt.NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Method:
    """How an attack searches: the rule by which iterates move, the ball they stay in, and the loss they maximize.

    Args:
        restarts: starts an ε and target, random but for the first where an image goes on from a smaller ε.
        seed: of the random starts; None starts at the image itself.
        only_last: only the iterate after the last step counts, as in the libraries.
        targets: classes that the image is driven to, with their loss instead of `loss`; None is untargeted.
        directions: what gradients are computed in, see `passes`; not for a rule that follows the loss.
    """

    rule: Rule
    norm: Norm
    loss: Loss
    restarts: int = 1
    seed: int | None = None
    only_last: bool = False
    targets: Targets | None = None
    directions: Directions = "float32"


@dataclass(frozen=True)
class Attempt:
    """An image that is to be attacked at an ε.

    Args:
        change: C×H×W, of the image, where it goes on from an iterate; None begins as `Method.seed` says.
        step: the number of the iterate that it begins with.
    """

    place: int
    eps: float
    restart: int = 0
    change: Tensor | None = None
    step: int = 0
