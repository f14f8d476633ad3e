"""How many threads torch uses while something is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from robustbench_zs.system.memory import give_freed_memory_back, keep_freed_memory


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Compute with so many threads inside the block, with memory kept between steps; afterwards with as many as before."""
    keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        give_freed_memory_back()
