"""Memory: keeping it between steps, and running out of it, which torch reports differently for each device."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from robustbench_zs.errors import UnfinishedError

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's `mallopt`."""


@cache
def keep_freed_memory() -> None:
    """Let the memory of tensors on the CPU stay with this process, where glibc manages it, until `give_freed_memory_back`.

    By default every large tensor is mapped afresh and given back, so each step takes hundreds of thousands of page faults:
    with two threads that costs about a quarter of the speed (`benchmarks/speed`). The peak stays the same.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 2**30)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, 2**26)


def give_freed_memory_back() -> None:
    """Give the system what keeping has gathered: batches of ever other sizes leave gaps that the next ones do not fill."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left; on a CPU torch raises a plain `RuntimeError`."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


@contextmanager
def enough_memory_or(sentence: str) -> Iterator[None]:
    """Turn running out of memory inside the block into an `UnfinishedError` that says `sentence`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise UnfinishedError(sentence) from error
        raise
