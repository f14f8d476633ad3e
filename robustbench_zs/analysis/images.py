"""Results of networks image by image, and the outcomes that are computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

SHARED = 0.95
"""Images that at least this share of the networks classify correctly when clean are the shared ones."""

MIN_SHARED = 10
"""With fewer shared images, or fewer of them that a network has right, nothing is said about them."""


@dataclass(frozen=True, eq=False)
class NetworkImages:
    """One network on N test images.

    Args:
        clean: bool, N, whether each image is classified correctly when clean.
        perturbed: label of a perturbation → the same under it.
        distances: N, the smallest ε at which an example was found (`EpsSearch`), infinite where none was;
            None without a search.
    """

    clean: Bools
    perturbed: Mapping[str, Bools]
    distances: Floats | None = None


@dataclass(frozen=True, eq=False)
class ImageOutcomes:
    """The networks of a study on the same test images.

    Args:
        networks: digest of the weights → what the network does.
        largest_eps: up to which ε the smallest one was searched; None without a search.
        covered: labels of attacks in the norm of that search: the mean smallest ε stands for them.
    """

    networks: Mapping[str, NetworkImages]
    largest_eps: float | None = None
    covered: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def shared(self) -> Bools:
        """N, whether at least `SHARED` of the networks classify the image correctly when clean."""
        correct = np.sum([network.clean for network in self.networks.values()], axis=0)
        return np.asarray(100 * correct >= round(100 * SHARED) * len(self.networks))

    def share_lost(self, digest: str, label: str, shared: bool = False) -> float | None:
        """Percentage of the images that a network has right when clean, or of the shared ones, that it loses."""
        chosen = self._chosen(digest, shared)
        if chosen is None:
            return None
        return 100 * float((~self.networks[digest].perturbed[label][chosen]).mean())

    def mean_smallest_eps(self, digest: str, shared: bool = False) -> float | None:
        """Mean smallest ε of the images that a network has right when clean, or of the shared ones.

        It is censored at the largest ε E, so it is E (1 − the share lost, averaged over ε from 0 to E).
        """
        chosen, distances = self._chosen(digest, shared), self.networks[digest].distances
        if chosen is None or distances is None or self.largest_eps is None:
            return None
        return float(np.minimum(distances[chosen], self.largest_eps).mean())

    def _chosen(self, digest: str, shared: bool) -> Bools | None:
        clean = self.networks[digest].clean
        chosen = clean & self.shared if shared else clean
        return chosen if chosen.sum() >= (MIN_SHARED if shared else 1) else None
