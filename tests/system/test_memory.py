"""Memory of tensors stays with the process while something is computed, and goes back afterwards."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

IN_A_FRESH_PROCESS = """
from pathlib import Path
import torch
from robustbench_zs.system.threads import torch_threads

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

with torch_threads(1):
    before = resident()
    tensors = [torch.ones(2**20) for _ in range(100)]  # 400 MiB
    behind = torch.ones(16)  # so that they leave a gap
    del tensors
    kept = resident()
print(kept - before, resident() - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs Linux with glibc"
)
def test_memory_is_kept_between_steps_and_given_back_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS], capture_output=True, text=True, check=True)
    kept, left = map(int, done.stdout.split())
    assert kept >= 350
    assert left <= 50
