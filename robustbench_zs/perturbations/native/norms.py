"""Balls around images: random starts, steepest ascent and projection, each image with a radius of its own."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from robustbench_zs.perturbations import draws


class Norm(Protocol):
    """Geometry of the ball of radius `eps` (N) around images `x0` (N×C×H×W, in [0, 1]), cut with [0, 1]."""

    def start(self, x0: Tensor, eps: Tensor, seed: int, restart: int, indices: Tensor) -> Tensor:
        """A random point of the ball that belongs to (seed, restart, index of the image)."""
        ...

    def ascent(self, gradient: Tensor) -> Tensor:
        """The direction of length 1 along which a linear function with this gradient grows fastest; 0 for 0."""
        ...

    def project(self, x: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
        """A point of the ball and of [0, 1] near x: for L∞ the nearest one."""
        ...

    def distance(self, x: Tensor, x0: Tensor) -> Tensor:
        """N: length of x − x0."""
        ...


class Linf:
    """Every pixel within eps."""

    def start(self, x0: Tensor, eps: Tensor, seed: int, restart: int, indices: Tensor) -> Tensor:
        unit = draws.uniform(seed, draws.RANDOM_START, indices, tuple(x0.shape[1:]), restart).to(x0.device)
        return (x0 + (2 * unit - 1) * wide(eps)).clamp(0, 1)

    def ascent(self, gradient: Tensor) -> Tensor:
        return gradient.sign()

    def project(self, x: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
        eps = wide(eps)
        return x.maximum(x0 - eps).minimum(x0 + eps).clamp_(0, 1)

    def distance(self, x: Tensor, x0: Tensor) -> Tensor:
        return (x - x0).abs().flatten(1).amax(1)


class L2:
    """Euclidean length within eps."""

    def start(self, x0: Tensor, eps: Tensor, seed: int, restart: int, indices: Tensor) -> Tensor:
        shape = tuple(x0.shape[1:])
        direction = draws.standard_normal(seed, draws.RANDOM_START, indices, shape, restart).to(x0.device)
        part = draws.uniform(seed, draws.RANDOM_RADIUS, indices, (), restart).to(x0.device)
        radius = eps * part ** (1 / direction[0].numel())  # uniform in the ball
        return (x0 + wide(radius) * self.ascent(direction)).clamp(0, 1)

    def ascent(self, gradient: Tensor) -> Tensor:
        # the largest entry first: squares of small gradients underflow
        scaled = gradient / wide(gradient.abs().flatten(1).amax(1).clamp_min(torch.finfo(gradient.dtype).tiny))
        return scaled / wide(scaled.flatten(1).norm(dim=1).clamp_min(0.5))  # of a gradient that is not 0 it is at least 1

    def project(self, x: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
        change = x - x0
        length = change.flatten(1).norm(dim=1).clamp_min(torch.finfo(x.dtype).tiny)
        return (x0 + change * wide((eps / length).clamp_max(1))).clamp_(0, 1)

    def distance(self, x: Tensor, x0: Tensor) -> Tensor:
        length: Tensor = (x - x0).flatten(1).norm(dim=1)
        return length


def wide(values: Tensor) -> Tensor:
    """N → N×1×1×1, a number per image."""
    return values.view(-1, 1, 1, 1)


NORMS: dict[str, Norm] = {"linf": Linf(), "l2": L2()}
