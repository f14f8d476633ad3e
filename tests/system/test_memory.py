"""Memory of tensors stays with the process while something is computed, and goes back afterwards."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest
import torch

from robustbench_zs.system.threads import torch_threads

MEBIBYTE = 2**20


def resident() -> int:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 // MEBIBYTE


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs Linux with glibc"
)
def test_memory_is_kept_between_steps_and_given_back_at_the_end() -> None:
    with torch_threads(1):
        before = resident()
        tensors = [torch.ones(MEBIBYTE) for _ in range(100)]  # 400 MiB
        last = torch.ones(16)  # behind them, so that they leave a gap
        del tensors
        kept = resident()
    after = resident()
    assert kept >= before + 350
    assert after <= before + 50
    assert last.sum() == 16
