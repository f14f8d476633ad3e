"""For each image an upper bound on the smallest ε that fools the network: bisection over our own PGD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from robustbench_zs.datasets import Split
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.intervals import wilson_interval
from robustbench_zs.evaluation.outcomes import Outcomes, evaluation_mode
from robustbench_zs.files import canonical_json
from robustbench_zs.memory import enough_memory_or
from robustbench_zs.perturbations import PGD
from robustbench_zs.perturbations.native import Bisection, search

SEARCH_VERSION = 1
"""Raised when a change of the code changes what is found; stored distances of another version are not reused."""

DEFAULT_HALVINGS = 7
MOST_HALVINGS = 30
CURVE_POINTS = 17

Distances = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EpsSearch:
    """How the smallest ε is searched.

    Args:
        pgd: our own PGD at the largest ε that is tried; at smaller ones its steps are in proportion.
        halvings: of the interval between the largest ε that failed and the smallest that fooled.

    Raises:
        RequestError: PGD by a library, on a ladder or with a step size of its own; a value out of range.
    """

    pgd: PGD
    halvings: int = DEFAULT_HALVINGS

    def __post_init__(self) -> None:
        if self.pgd.engine != "native" or self.pgd.ladder:
            raise RequestError("the smallest ε is searched with PGD by our own engine, without a ladder")
        if isinstance(self.halvings, bool) or not isinstance(self.halvings, int) or not 1 <= self.halvings <= MOST_HALVINGS:
            raise RequestError(f"the number of halvings is a whole number from 1 to {MOST_HALVINGS}, not {self.halvings!r}")

    def key(self, weights_digest: str, data: Split) -> str:
        """What the distances are a function of, as canonical JSON."""
        return canonical_json([weights_digest, data.digest, len(data), SEARCH_VERSION, self.pgd.key(), self.halvings])


def smallest_eps(
    network: nn.Module, data: Split, clean: Outcomes, how: EpsSearch, *, device: torch.device, batch_size: int
) -> Distances:
    """The distance of the nearest example found for each of N images, in the norm of the attack.

    It is 0 for an image that is wrong when clean and infinite where nothing was found up to the largest ε. Each distance is
    that of an example which was really found, so it bounds the smallest ε from above.

    Args:
        network: on `device`.
        clean: outcomes of the network on the clean images of `data`.

    Raises:
        UnfinishedError: out of memory.
    """
    chosen = np.flatnonzero(clean.correct)
    distances = np.zeros(len(data))
    if len(chosen):
        with (
            enough_memory_or(f"out of memory at batch size {batch_size}: try a smaller --batch-size"),
            evaluation_mode(network),
        ):
            budgets = Bisection(how.pgd.eps, how.halvings)
            found = search(network, data, chosen.tolist(), how.pgd.method, budgets, device=device, batch_size=batch_size)
        distances[chosen] = found.fooled_at
    return distances


def curve_of(distances: Distances, largest: float, points: int = CURVE_POINTS) -> dict[str, Any]:
    """Robust accuracy against ε: `eps` from 0 to the largest, and at each `robust_accuracy`, the percentage of images whose
    distance is larger, with `ci_low` and `ci_high`; `median_eps`, `eps_25` and `eps_75` are quantiles over the images that
    are right when clean, null where they lie beyond the largest ε or no image is right."""
    grid = np.linspace(0, largest, points)
    standing = [int((distances > eps).sum()) for eps in grid]
    intervals = [wilson_interval(n, len(distances)) for n in standing]
    return {
        "eps": grid.tolist(),
        "robust_accuracy": [100 * n / len(distances) for n in standing],
        "ci_low": [low for low, _ in intervals],
        "ci_high": [high for _, high in intervals],
        **{name: _quantile(distances[distances > 0], part) for name, part in QUANTILES.items()},
    }


QUANTILES = {"eps_25": 0.25, "median_eps": 0.5, "eps_75": 0.75}


def _quantile(distances: Distances, part: float) -> float | None:
    if not len(distances):
        return None
    value = float(np.quantile(distances, part, method="higher"))  # a distance that was found; no mean with infinity
    return value if np.isfinite(value) else None
