"""Square Attack (Andriushchenko et al. 2020): random search with square-shaped changes; asks for logits alone."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from robustbench_zs.perturbations import draws
from robustbench_zs.perturbations.native.norms import Norm, wide
from robustbench_zs.perturbations.native.rules import Rows

FIRST_SHARE = 0.8
"""Share of the pixels that the first squares change, p; AutoAttack's."""

HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""After so many of 10,000 queries p is halved (§5)."""

BLOCK = 64
"""Queries whose random numbers are drawn at once."""


@dataclass(frozen=True)
class SquareRule(ABC):
    """A changed candidate replaces the best image where its loss is larger.

    Args:
        steps: queries after the first, the one of the start.
        seed: of the squares, which belong to the image.
    """

    steps: int
    seed: int
    gradients = False

    def begin(self, rows: Rows) -> None:
        rows["best"] = rows["x"]
        rows["best_loss"] = torch.full_like(rows["eps"], -torch.inf)
        rows["units"] = torch.empty((len(rows["x"]), BLOCK, self._wanted(rows["x"].shape[1])))
        unit = draws.uniform(self.seed, draws.SQUARES, rows["number"], self._start_shape(rows["x0"]), self._part(rows, 0))
        rows["x"] = self._start(rows, unit.to(rows["x"].device))

    def move(self, rows: Rows, loss: Tensor, gradient: Tensor, norm: Norm) -> None:
        better = loss > rows["best_loss"]
        rows["best"] = torch.where(wide(better), rows["x"], rows["best"])
        rows["best_loss"] = torch.where(better, loss, rows["best_loss"])
        step = rows["step"].cpu()
        if len(due := (step % BLOCK == 0).nonzero()[:, 0]):
            some = {name: rows[name][due] for name in ("number", "restart")}
            parts = self._part(some, 1 + step[due] // BLOCK)
            fresh = draws.uniform(self.seed, draws.SQUARES, some["number"], tuple(rows["units"].shape[1:]), parts)
            rows["units"] = rows["units"].index_copy(0, due, fresh)
        unit = rows["units"][torch.arange(len(step)), step % BLOCK].to(loss.device)
        height, width = rows["x"].shape[-2:]
        sides = torch.tensor([self._side(query, height, width) for query in step.tolist()], device=loss.device)
        rows["x"] = self._candidate(rows, unit, sides)

    def _part(self, rows: Rows, block: int | Tensor) -> Tensor:
        return rows["restart"] * (2 + self.steps // BLOCK) + block

    def _side(self, query: int, height: int, width: int) -> int:
        """Side of the square of a query, from its share of the pixels."""
        at = int(query / self.steps * 10_000)
        share = FIRST_SHARE / 2 ** sum(at > limit for limit in HALVED_AT)
        return min(self._allowed(round(math.sqrt(share * height * width))), height, width)

    @abstractmethod
    def _allowed(self, side: int) -> int: ...

    @abstractmethod
    def _wanted(self, channels: int) -> int:
        """Random numbers a query."""

    @abstractmethod
    def _start_shape(self, x0: Tensor) -> tuple[int, ...]:
        """Shape of the random numbers of a start."""

    @abstractmethod
    def _start(self, rows: Rows, unit: Tensor) -> Tensor: ...

    @abstractmethod
    def _candidate(self, rows: Rows, unit: Tensor, sides: Tensor) -> Tensor:
        """What is asked next: from `best`, N×`_wanted` random numbers and N sides."""


@dataclass(frozen=True)
class SquareLinf(SquareRule):
    """In a square each channel is changed by ε or −ε; the start is striped so (Algorithm 2)."""

    def _allowed(self, side: int) -> int:
        return max(side, 1)

    def _wanted(self, channels: int) -> int:
        return 2 + channels

    def _start_shape(self, x0: Tensor) -> tuple[int, ...]:
        return (x0.shape[1], 1, x0.shape[3])

    def _start(self, rows: Rows, unit: Tensor) -> Tensor:
        return (rows["x0"] + _signs(unit) * wide(rows["eps"])).clamp_(0, 1)

    def _candidate(self, rows: Rows, unit: Tensor, sides: Tensor) -> Tensor:
        height, width = rows["x"].shape[-2:]
        down, across = (_inside(corner(unit[:, i], n, sides), sides, n) for i, n in ((0, height), (1, width)))
        square = (down[:, :, None] & across[:, None, :])[:, None]
        change = _signs(unit[:, 2:])[:, :, None, None] * wide(rows["eps"])
        return torch.where(square, (rows["x0"] + change).clamp_(0, 1), rows["best"])


@dataclass(frozen=True)
class SquareL2(SquareRule):
    """A square takes over what change another square, and the ball, have left (Algorithm 3)."""

    def _allowed(self, side: int) -> int:
        return max(side, 3) | 1  # odd

    def _wanted(self, channels: int) -> int:
        return 5 + channels

    def _start_shape(self, x0: Tensor) -> tuple[int, ...]:
        return (x0.shape[1] + 1, 5, 5)

    def _start(self, rows: Rows, unit: Tensor) -> Tensor:
        """Five by five bumps, each channel with a sign of its own."""
        x0 = rows["x0"]
        height, width = x0.shape[-2:]
        change = torch.zeros_like(x0)
        side = max(min(height, width) // 5, 1)
        bump = _bump(side).to(x0.device)
        signs = _signs(unit[:, 1:])
        for i in range(min(5, height // side)):
            for j in range(min(5, width // side)):
                turned = torch.where(wide(unit[:, 0, i, j] > 0.5)[:, 0], bump.T, bump)
                top, left = (height - 5 * side) // 2 + i * side, (width - 5 * side) // 2 + j * side
                top, left = max(top, 0), max(left, 0)
                change[:, :, top : top + side, left : left + side] = turned[:, None] * signs[:, :, i, j][:, :, None, None]
        return _of_length(change, x0, rows["eps"])

    def _candidate(self, rows: Rows, unit: Tensor, sides: Tensor) -> Tensor:
        made = rows["best"].clone()
        for side in sides.unique().tolist():
            mine = (sides == side).nonzero()[:, 0]
            made[mine] = _moved(rows["best"][mine], rows["x0"][mine], rows["eps"][mine], unit[mine], int(side))
        return made


def _moved(best: Tensor, x0: Tensor, eps: Tensor, unit: Tensor, side: int) -> Tensor:
    """Candidates with squares of one side: in the first square a bump is added to what is there, of a length that takes up
    what the second square, which becomes 0, and the ball have left."""
    n, channels, height, width = best.shape
    sides = torch.full((n,), side, device=best.device)
    first, second = (
        _places(corner(unit[:, i], height, sides), corner(unit[:, i + 1], width, sides), side, width) for i in (0, 2)
    )
    change = (best - x0).flatten(2)
    there = change.gather(2, first[:, None].expand(-1, channels, -1))
    either = torch.zeros((n, height * width), dtype=torch.bool, device=best.device)
    either.scatter_(1, first, True).scatter_(1, second, True)
    taken = torch.where(either[:, None], change, 0.0).square().sum((1, 2))
    unused = (eps**2 - change.square().sum((1, 2))).clamp_min(0)
    bump = _bump(side).to(best.device)
    turned = torch.where((unit[:, 4] > 0.5)[:, None, None], bump.T, bump).flatten(1)
    new = turned[:, None] * _signs(unit[:, 5:])[:, :, None] + there / there.norm(dim=2, keepdim=True).clamp_min(1e-12)
    # each channel gets its share of what the ball has left
    length = (unused / channels + taken).sqrt()
    new = new / new.norm(dim=2, keepdim=True).clamp_min(1e-12) * length[:, None, None]
    change = change.scatter(2, second[:, None].expand(-1, channels, -1), 0.0)
    change = change.scatter(2, first[:, None].expand(-1, channels, -1), new)
    return _of_length(change.view_as(best), x0, eps)


def corner(unit: Tensor, size: int, sides: Tensor) -> Tensor:
    """Where a square of each side begins, uniform over the places that it has among `size` pixels; N, N → N."""
    return (unit * (size - sides + 1)).long().minimum(size - sides)


def _inside(start: Tensor, sides: Tensor, size: int) -> Tensor:
    place = torch.arange(size, device=start.device)
    return (place >= start[:, None]) & (place < (start + sides)[:, None])


def _places(top: Tensor, left: Tensor, side: int, width: int) -> Tensor:
    """Numbers of the pixels of each square; N, N → N×side²."""
    step = torch.arange(side, device=top.device)
    return ((top[:, None] + step)[:, :, None] * width + (left[:, None] + step)[:, None, :]).flatten(1)


def _signs(unit: Tensor) -> Tensor:
    return torch.where(unit < 0.5, -1.0, 1.0)


def _of_length(change: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
    """x0 + change, the change scaled to the length ε, clipped to [0, 1]."""
    length: Tensor = change.flatten(1).norm(dim=1).clamp_min(1e-12)
    return (x0 + change * wide(eps / length)).clamp_(0, 1)


def _bump(side: int) -> Tensor:
    """Two opposed pyramids, one above the other, of length 1; side×side (§4.2)."""
    above = _pyramid(side // 2, side)
    bump = torch.cat([above, -_pyramid(side - side // 2, side)])
    return F.normalize(bump.flatten(), dim=0).view_as(bump)


def _pyramid(height: int, width: int) -> Tensor:
    """Rectangles inside each other, the k-th of weight 1/k², the smallest in the middle."""
    pyramid = torch.zeros(height, width)
    if not height:
        return pyramid
    top, left = height // 2, width // 2
    for k in range(max(top, left) + 1):
        rows, columns = (slice(max(middle - k, 0), middle + k + 1) for middle in (top, left))
        pyramid[rows, columns] += 1 / (k + 1) ** 2
    return F.normalize(pyramid.flatten(), dim=0).view_as(pyramid)
