"""Generators for the uses of randomness in a training."""

from __future__ import annotations

import numpy as np
from torch import Generator


def stream(seed: int, name: str) -> Generator:
    """A CPU generator of its own for each use of randomness, so that one more draw here moves nothing there."""
    words = np.random.SeedSequence([seed, *name.encode()]).generate_state(2, np.uint32)
    return Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)
