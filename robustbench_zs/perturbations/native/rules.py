"""How an attack moves: from an image, its iterate and the gradient there to the next iterate, row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from robustbench_zs.perturbations.native.norms import Norm, wide

Rows = dict[str, Tensor]
"""One row per image under attack: `x0`, `eps`, the iterate `x`, its number `step`, whether it goes on from a smaller ε
(`goes_on`), on the CPU the numbers of the attempt at this ε (`restart`) and of the image (`number`), and what a rule keeps
besides."""

PACE_ON = 2.0
"""How much longer steps are where an image goes on from a smaller ε: it has few, and starts at the edge of the ball."""


class Rule(Protocol):
    @property
    def steps(self) -> int:
        """Gradients, or queries, an image takes."""
        ...

    @property
    def gradients(self) -> bool:
        """Whether it asks for gradients; otherwise for losses alone."""
        ...

    def begin(self, rows: Rows) -> None:
        """Add what the rule keeps to rows at their start."""
        ...

    def move(self, rows: Rows, loss: Tensor, gradient: Tensor, norm: Norm) -> None:
        """Replace each iterate by the next; `loss` and `gradient` (empty if the rule asks for none) are those there."""
        ...


@runtime_checkable
class Turning(Protocol):
    """A rule whose iterates may lie outside of the ball."""

    def turn(self, rows: Rows, wrong: Tensor) -> Tensor:
        """Replace iterates that are wrong outside of the ball, without counting a step; which were replaced."""
        ...


@dataclass(frozen=True)
class PGDRule:
    """Steps of one length along the steepest ascent, projected (Madry et al. 2018, §2.1).

    Args:
        step: length as a multiple of ε.
    """

    steps: int
    step: float
    gradients = True

    def begin(self, rows: Rows) -> None:
        pass

    def move(self, rows: Rows, loss: Tensor, gradient: Tensor, norm: Norm) -> None:
        pace = torch.where(rows["goes_on"], PACE_ON, 1.0)
        length = wide(self.step * pace * rows["eps"])
        rows["x"] = norm.project(rows["x"] + length * norm.ascent(gradient), rows["x0"], rows["eps"])


@dataclass(frozen=True)
class APGDRule:
    """Auto-PGD (Croce and Hein 2020, Algorithm 1): momentum, and a step that is halved where the loss stops growing."""

    steps: int
    checks: tuple[int, ...] = field(init=False)
    gradients = True

    MOMENTUM = 0.75
    IMPROVING = 0.75
    """Share of steps between two checks that must increase the loss, ρ."""

    def __post_init__(self) -> None:
        parts = [0.0, 0.22]
        while parts[-1] < 1:
            parts.append(parts[-1] + max(parts[-1] - parts[-2] - 0.03, 0.06))
        object.__setattr__(self, "checks", tuple(sorted({math.ceil(round(part * self.steps, 9)) for part in parts})))

    def begin(self, rows: Rows) -> None:
        x, eps = rows["x"], rows["eps"]
        rows |= {
            "before": x,  # the iterate before this one
            "best": x,
            "best_gradient": torch.zeros_like(x),
            "best_loss": torch.full_like(eps, -torch.inf),
            "last_loss": torch.full_like(eps, -torch.inf),
            "checked_loss": torch.full_like(eps, -torch.inf),  # the best one at the check before
            "length": 2 * eps,
            "kept": torch.zeros_like(eps, dtype=torch.bool),  # whether the check before left the length as it was
            "gains": torch.zeros_like(rows["step"]),
        }

    def move(self, rows: Rows, loss: Tensor, gradient: Tensor, norm: Norm) -> None:
        x, step = rows["x"], rows["step"]
        better = loss > rows["best_loss"]
        rows["best"] = torch.where(wide(better), x, rows["best"])
        rows["best_gradient"] = torch.where(wide(better), gradient, rows["best_gradient"])
        rows["best_loss"] = torch.where(better, loss, rows["best_loss"])
        rows["gains"] = rows["gains"] + ((loss > rows["last_loss"]) & (step > 0))
        rows["last_loss"] = loss
        due = torch.zeros_like(better)
        for last, this in pairwise(self.checks):
            now = step == this
            few = rows["gains"] < self.IMPROVING * (this - last)
            stuck = rows["kept"] & (rows["best_loss"] <= rows["checked_loss"])
            halve = now & (few | stuck)
            rows["length"] = torch.where(halve, rows["length"] / 2, rows["length"])
            rows["kept"] = torch.where(now, ~halve, rows["kept"])
            rows["checked_loss"] = torch.where(now, rows["best_loss"], rows["checked_loss"])
            rows["gains"] = torch.where(now, 0, rows["gains"])
            due |= halve
        x = torch.where(wide(due), rows["best"], x)
        gradient = torch.where(wide(due), rows["best_gradient"], gradient)
        target = norm.project(x + wide(rows["length"]) * norm.ascent(gradient), rows["x0"], rows["eps"])
        weight = wide(torch.where(step > 0, self.MOMENTUM, 1.0))
        mixed = x + weight * (target - x) + (1 - weight) * (x - rows["before"])
        rows["before"] = x
        rows["x"] = norm.project(mixed, rows["x0"], rows["eps"])
