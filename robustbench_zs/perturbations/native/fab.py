"""Fast adaptive boundary attack, FAB (Croce and Hein 2020, "Minimally distorted adversarial examples with a fast adaptive
boundary attack"), as AutoAttack has it: an iterate beyond the decision boundary counts once it lies in the ball."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zs.perturbations.native.losses import lead
from robustbench_zs.perturbations.native.norms import NORMS, Norm, wide
from robustbench_zs.perturbations.native.passes import CLEAR
from robustbench_zs.perturbations.native.rules import Rows

MAX_PIECES = 100
"""Pieces of the piecewise linear equation behind a projection that are tried at the most; a handful is usual."""


@dataclass(frozen=True)
class FABRule:
    """Steps to the linearized boundary between label and target, each pulled towards the image.

    The loss is `beyond_ties`. A wrong iterate outside of the ball is drawn back towards the image, which is no step.
    """

    steps: int
    gradients = True

    PULL = 0.1
    """Largest weight of the way that starts at the image, α_max."""
    BEYOND = 1.05
    """How far steps go past the linearized boundary, η."""
    BACK = 0.9
    """Part of the change that is left where an iterate is drawn back, β."""

    def begin(self, rows: Rows) -> None:
        rows["turned"] = torch.zeros_like(rows["step"], dtype=torch.bool)

    def turn(self, rows: Rows, wrong: Tensor) -> Tensor:
        """Draw wrong iterates back, each once; which ones were."""
        back = wrong & ~rows["turned"]
        rows["x"] = torch.where(wide(back), rows["x0"] + self.BACK * (rows["x"] - rows["x0"]), rows["x"])
        rows["turned"] = back
        return back

    def move(self, rows: Rows, loss: Tensor, gradient: Tensor, norm: Norm) -> None:
        x, x0 = rows["x"], rows["x0"]
        at_image = loss + (gradient * (x0 - x)).flatten(1).sum(1)  # the linearization there
        from_x, from_image = (to_boundary(point, gradient, -value, norm) for point, value in ((x, loss), (x0, at_image)))
        zero = torch.zeros_like(x)
        lengths = [norm.distance(change, zero).clamp_min(1e-8) for change in (from_x, from_image)]
        pull = wide((lengths[0] / (lengths[0] + lengths[1])).clamp_max(self.PULL))
        rows["x"] = ((1 - pull) * (x + self.BEYOND * from_x) + pull * (x0 + self.BEYOND * from_image)).clamp_(0, 1)
        rows["turned"] = torch.zeros_like(rows["turned"])


def beyond_ties(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """The target's lead over the label − twice the lead from which on an example counts: FAB closes in on the boundary, and
    where that is the one of the plain lead, iterates end in near ties."""
    return lead(logits, labels, targets) - 2 * CLEAR * logits.detach().abs().amax(1)


def to_boundary(x: Tensor, weight: Tensor, gap: Tensor, norm: Norm) -> Tensor:
    """The shortest change d of each image, with x + d in [0, 1], that makes the linear function w·x grow by `gap`, or that
    comes nearest to it.

    d_i is s_i·min(λ·u_i, r_i): s the direction, r the room up to 0 or 1, and u = 1 (L∞) or |w| (L2). The growth is concave
    in λ ≥ 0 and piecewise linear, so Newton's steps from λ = 0 rise to the root and reach it after finitely many.

    Args:
        x, weight: N×C×H×W. gap: N.
    """
    direction = weight.sign() * wide(gap.sign())
    room = torch.where(direction > 0, 1 - x, x).clamp_min(0)
    steepness, wanted = weight.abs(), gap.abs()
    rate = torch.ones_like(weight) if norm is NORMS["linf"] else steepness
    tiny = torch.finfo(x.dtype).tiny
    factor = torch.zeros_like(gap)
    for _ in range(MAX_PIECES):
        free = wide(factor) * rate < room
        left = wanted - torch.where(free, 0.0, steepness * room).flatten(1).sum(1)
        slope = torch.where(free, steepness * rate, 0.0).flatten(1).sum(1)
        following = torch.where(slope > tiny, left / slope.clamp_min(tiny), torch.inf)
        following = torch.maximum(following, factor)
        if bool((following <= factor * (1 + 1e-6)).all()):
            break
        factor = following
    reach = (wide(factor) * rate).nan_to_num(nan=0.0, posinf=torch.finfo(x.dtype).max)
    return direction * torch.minimum(reach, room)
