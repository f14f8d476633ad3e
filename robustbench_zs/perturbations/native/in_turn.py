"""Runs several methods one after another, each on the images that still stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from robustbench_zs.perturbations.native.budgets import Budgets
from robustbench_zs.perturbations.native.method import ChosenImages, Found, Method
from robustbench_zs.perturbations.native.search import search


def search_in_turn(
    network: nn.Module,
    chosen: ChosenImages,
    methods: Sequence[Method],
    budgets: Budgets,
    *,
    examples: bool = False,
    **options: Any,
) -> Found:
    """One method after the other, each on the images that those before it did not fool; see `search`."""
    places, numbers = (each.numpy() for each in chosen.tensors())
    whole: Found | None = None
    for turn, method in enumerate(methods):
        left = np.arange(len(places)) if whole is None else np.flatnonzero(np.isinf(whole.fooled_at))
        if whole is not None and not len(left):
            break
        part = ChosenImages(chosen.data, places[left].tolist(), numbers[left].tolist())
        found = search(network, part, method, budgets, examples=examples, **options)
        fell = np.isfinite(found.fooled_at)
        if whole is None:
            whole = replace(found, by=np.zeros(len(places), np.intp))
            continue
        assert whole.by is not None
        whole.fooled_at[left] = found.fooled_at
        whole.close_at[left] = np.minimum(whole.close_at[left], found.close_at)
        whole.by[left[fell]] = turn
        if whole.examples is not None and found.examples is not None:
            whole.examples[torch.from_numpy(left[fell])] = found.examples[torch.from_numpy(fell)]
    assert whole is not None
    return whole
