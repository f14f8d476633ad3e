"""Rows of a batch: counted, chosen, taken apart and put together."""

from __future__ import annotations

import torch
from torch import Tensor

from robustbench_zs.perturbations.native.rules import Rows


def count_of(rows: Rows) -> int:
    return len(rows["place"]) if rows else 0


def select(rows: Rows, which: Tensor) -> Rows:
    """The rows that a mask keeps; rows that stay on the CPU are chosen there."""
    here = which.cpu()
    if bool(here.all()):
        return dict(rows)
    return {name: values[which if values.device == which.device else here] for name, values in rows.items()}


def split(rows: Rows, count: int) -> tuple[Rows, Rows]:
    if count_of(rows) <= count:
        return rows, {}
    return {name: v[:count] for name, v in rows.items()}, {name: v[count:] for name, v in rows.items()}


def joined(first: Rows, second: Rows) -> Rows:
    if not count_of(first):
        return second
    if not count_of(second):
        return first
    return {name: torch.cat([values, second[name]]) for name, values in first.items()}
