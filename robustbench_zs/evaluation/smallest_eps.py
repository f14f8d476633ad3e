"""For each image an upper bound on the smallest ε that fools the network, by a minimum-norm attack."""

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
from robustbench_zs.perturbations import parse_number
from robustbench_zs.perturbations.attacks import LARGEST_EPS, check_whole
from robustbench_zs.perturbations.native import NORMS, minimum_norm
from robustbench_zs.system.files import canonical_json
from robustbench_zs.system.memory import enough_memory_or

SEARCH_VERSION = 2
"""Raised when a change of the code changes what is found; stored distances of another version are not reused."""

DEFAULT_STEPS = 16
MOST_STEPS = 100_000
CURVE_POINTS = 17

Distances = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EpsSearch:
    """How the smallest ε is searched, see `native.minimum_norm`.

    Args:
        eps: the largest that is tried: the search goes no farther from an image, which spares the time of an example that
            would not count.
        norm: `"linf"` or `"l2"`.
        steps: gradients that refine the best example of an image.

    Raises:
        RequestError: an unknown norm, a value out of range.
    """

    eps: float
    norm: str = "linf"
    steps: int = DEFAULT_STEPS

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise RequestError(f"the norm is one of {', '.join(NORMS)}, not {self.norm!r}")
        check_whole("steps of the search", self.steps, MOST_STEPS)
        object.__setattr__(self, "eps", parse_number(self.eps, "eps", 0, LARGEST_EPS[self.norm], open_low=True))

    def key(self, weights_digest: str, data: Split) -> str:
        """What the distances are a function of, as canonical JSON."""
        how = ["minimum norm", self.norm, self.eps, self.steps]
        return canonical_json([weights_digest, data.digest, len(data), SEARCH_VERSION, *how])


def smallest_eps(
    network: nn.Module, data: Split, clean: Outcomes, how: EpsSearch, *, device: torch.device, batch_size: int
) -> Distances:
    """The distance of the nearest example found for each of N images, in the norm of the search.

    It is 0 for an image that is wrong when clean and infinite where nothing was found up to the largest ε. Each distance is
    that of an image in [0, 1] which this network answers wrongly in float32, so it bounds the smallest ε from above: an
    example may lie nearer.

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
            distances[chosen] = minimum_norm(
                network,
                data,
                chosen.tolist(),
                NORMS[how.norm],
                how.eps,
                how.steps,
                device=device,
                batch_size=batch_size,
            )
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
