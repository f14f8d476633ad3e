"""The ε at which a chosen share of the images is left standing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from robustbench_zs.datasets import Split
from robustbench_zs.evaluation import measure
from robustbench_zs.evaluation.questions.smallest_eps import EpsSearch, smallest_eps

FARTHEST = {"linf": 1.0, "l2": 100.0}


def eps_that_leave(network: nn.Module, data: Split, percents: Sequence[float], norm: str = "linf") -> list[float]:
    """For each percentage of all images the ε, a short multiple of 1/255, at which our minimum-norm attack leaves about so
    many standing.

    Raises:
        SystemExit: fewer images are right when clean.
    """
    device = torch.device("cpu")
    clean = measure(network, data, None, device=device, batch_size=256)
    if max(percents) >= clean.accuracy:
        raise SystemExit(f"{max(percents):g}% cannot stand: {clean.accuracy:g}% are right when clean")
    distances = smallest_eps(network, data, clean, EpsSearch(FARTHEST[norm], norm), device=device, batch_size=256)
    wanted = np.quantile(distances, [1 - percent / 100 for percent in percents], method="lower")
    return [float(f"{255 * eps:.2g}") / 255 for eps in wanted]
