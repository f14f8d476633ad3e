"""Random numbers that belong to the image, not to the batch it sits in.

Each image has a counter-based generator (Philox) whose key is (seed, index of the image in its split) and whose counter
starts at a place of its own for each use. So the draws are the same for any batch size, order, device or resumption.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from torch import Tensor

UNIFORM, GAUSSIAN, RANDOM_START, RANDOM_RADIUS, SQUARES, TARGET = 1, 2, 3, 4, 5, 6
"""Uses of randomness. Levels of one kind of noise share their draws, which makes comparing levels more precise."""


def _per_image(
    seed: int,
    use: int,
    part: int | Tensor,
    indices: Tensor,
    shape: tuple[int, ...],
    draw: Callable[[Generator], np.ndarray],
) -> Tensor:
    import numpy as np
    import torch
    from numpy.random import Generator, Philox

    values = np.empty((len(indices), *shape), np.float32)
    parts = repeat(part) if isinstance(part, int) else part.tolist()
    for row, (index, place) in enumerate(zip(indices.tolist(), parts, strict=False)):
        philox = Philox(key=np.array([seed, index], np.uint64), counter=np.array([0, 0, place, use], np.uint64))
        values[row] = draw(Generator(philox))
    return torch.from_numpy(values)


def uniform(seed: int, use: int, indices: Tensor, shape: tuple[int, ...], part: int | Tensor = 0) -> Tensor:
    """Uniform on [0, 1), float32, len(indices)×shape, on the CPU; `part` (one for all, or N) separates draws of one use."""
    return _per_image(seed, use, part, indices, shape, lambda g: g.random(shape, "float32"))


def standard_normal(seed: int, use: int, indices: Tensor, shape: tuple[int, ...], part: int = 0) -> Tensor:
    """Standard normal, float32, len(indices)×shape, on the CPU."""
    return _per_image(seed, use, part, indices, shape, lambda g: g.standard_normal(shape, "float32"))
