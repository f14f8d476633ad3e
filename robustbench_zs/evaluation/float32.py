"""Computes in full float32, whatever reduced precision torch has been set to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SWITCHES = [("generic", "all")] + [
    (backend, operation) for backend in ("cuda", "mkldnn") for operation in ("all", "matmul", "conv", "rnn")
]
"""Of `torch.backends.….fp32_precision`, the general ones first: one that says nothing itself follows them."""


@contextmanager
def full_float32() -> Iterator[None]:
    """No TF32 and no bfloat16 inside float32 products, on any device; the switches of torch are afterwards as they were.

    Those of the old style (`set_float32_matmul_precision`, `allow_tf32`) are kept in step with the new ones, since torch
    refuses to read them where they differ, as its compiler does.
    """
    before = []
    old = _old_style()
    if old not in (None, "highest"):
        # First, so that what it writes to the new switches is undone last.
        matmul = [(switch, torch._C._get_fp32_precision_getter(*switch)) for switch in _SWITCHES if switch[1] == "matmul"]
        torch._C._set_float32_matmul_precision("highest")
    try:
        for switch in _SWITCHES:
            value = torch._C._get_fp32_precision_getter(*switch)
            if value != "ieee":
                before.append((switch, value))
                torch._C._set_fp32_precision_setter(*switch, "ieee")
        yield
    finally:
        for switch, value in reversed(before):
            torch._C._set_fp32_precision_setter(*switch, value)
        if old not in (None, "highest"):
            torch._C._set_float32_matmul_precision(old)
            for switch, value in matmul:
                torch._C._set_fp32_precision_setter(*switch, value)


def _old_style() -> str | None:
    """Precision of matrix products in the old style; None where switches of the new style say something else."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None
