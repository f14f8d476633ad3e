"""For each image an upper bound on the smallest ε that fools the network, by a minimum-norm attack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from robustbench_zs.datasets import Split
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.intervals import wilson_interval
from robustbench_zs.evaluation.outcomes import Outcomes, evaluation_mode, memory_at
from robustbench_zs.evaluation.questions.accuracy import Accuracy
from robustbench_zs.evaluation.questions.question import Bench, Question
from robustbench_zs.perturbations import parse_number
from robustbench_zs.perturbations.attacks import MAX_EPS
from robustbench_zs.perturbations.native import NORMS, ChosenImages, minimum_norm
from robustbench_zs.perturbations.numbers import check_whole

SEARCH_VERSION = 2
"""Raised when a change of the code changes what is found; stored distances of another version are not reused."""

DEFAULT_STEPS = 16
MAX_STEPS = 100_000
CURVE_POINTS = 17

Distances = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EpsSearch(Question[Distances]):
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
            raise RequestError(f"the norm must be one of {', '.join(NORMS)}, not {self.norm!r}")
        check_whole("steps of the search", self.steps, MAX_STEPS)
        object.__setattr__(self, "eps", parse_number(self.eps, "eps", 0, MAX_EPS[self.norm], open_low=True))

    @property
    def label(self) -> str:
        return "smallest ε"

    @property
    def passes(self) -> float:
        return 100.0

    def parameters(self) -> list[Any]:
        return [SEARCH_VERSION, "minimum norm", self.norm, self.eps, self.steps]

    def answer(self, bench: Bench) -> Mapping[Any, Distances]:
        clean, data = bench.ask(Accuracy()), bench.images("test")
        return {self: smallest_eps(bench.network(), data, clean, self, device=bench.device, batch_size=bench.batch_size)}

    def pack(self, answer: Distances) -> bytes:
        return answer.astype("<f8").tobytes()

    def read(self, packed: bytes, data: Split, environment: str) -> Distances:
        if len(packed) != 8 * len(data):
            raise ValueError(f"a row does not hold the distances of {len(data)} images")
        return np.frombuffer(packed, "<f8").astype(np.float64)


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
        with memory_at(batch_size), evaluation_mode(network):
            distances[chosen] = minimum_norm(
                network,
                ChosenImages(data, chosen.tolist()),
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
