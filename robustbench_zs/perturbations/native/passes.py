"""How the network is passed: all in float32, or gradients in bfloat16 whose verdicts float32 gives.

An attack follows the sign of a gradient (L2: its direction), which bfloat16 has nearly as well in about half the time. A
verdict is always that of the float32 network: bfloat16 logits only say which iterates may have fooled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.native.losses import margin
from robustbench_zs.perturbations.native.rules import Rows

RowsLoss = Callable[[Tensor, Rows], Tensor]
"""N×K logits and N rows → N."""

Directions = Literal["float32", "bfloat16"]

CLEAR = 1e-4
"""An example counts where the other class leads by more than this part of the largest |logit|. The network's rounding is
some hundred times smaller, so a network that sees the example in other company decides the same."""

SUSPECT = 2.0**-5
"""An iterate may have fooled where the label leads by at most this part of the largest bfloat16 |logit|. `benchmarks/speed`
has how far bfloat16 and float32 are apart."""


@dataclass(frozen=True)
class Slopes:
    """What a pass found of N iterates: `losses` (N), `gradients` (N×C×H×W, or N×0 without), and by float32 whether each is
    `fooled`, clearly, or `close` to it (N, N)."""

    losses: Tensor
    gradients: Tensor
    fooled: Tensor
    close: Tensor


class Passes:
    """Passes of a network in float32, over rows with the iterates `x`, the labels `y`, and, where only a target class
    counts, the `wanted` one.

    Args:
        network: in evaluation mode, its parameters without gradients.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def judge(self, rows: Rows, loss: RowsLoss) -> Slopes:
        """The iterates of rows without gradients."""
        with torch.no_grad():
            logits = self.network(rows["x"])
            losses = loss(logits, rows)
        return Slopes(losses, losses.new_empty(len(losses), 0), *_verdicts(logits, rows))

    def slopes(self, rows: Rows, loss: RowsLoss, counts: Tensor) -> Slopes:
        """The gradients of the loss at the iterates of rows.

        Args:
            counts: N, where a verdict is wanted; elsewhere it may be that nothing fooled.
        """
        logits, losses, gradients = self._differentiate(rows, loss)
        return Slopes(losses, gradients, *_verdicts(logits, rows))

    def _differentiate(self, rows: Rows, loss: RowsLoss) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, losses and gradients."""
        x = rows["x"].detach().requires_grad_()
        with torch.enable_grad():
            logits = self.network(x)
            losses = loss(logits, rows)
            gradients = gradient_at(x, losses.sum())
        return logits.detach(), losses.detach(), gradients


class HalfPasses(Passes):
    """Passes with gradients in bfloat16 and verdicts in float32.

    An image whose gradient is not finite in bfloat16, or 0, goes on in float32: `exact` says so of its row.
    """

    def slopes(self, rows: Rows, loss: RowsLoss, counts: Tensor) -> Slopes:
        found = Slopes(torch.zeros_like(rows["eps"]), torch.zeros_like(rows["x"]), counts & False, counts & False)
        half = ~rows["exact"]
        if half.any():
            part = _seen(rows, half)
            with torch.autocast(part["x"].device.type, torch.bfloat16):
                logits, losses, gradients = self._differentiate(part, loss)
            flat = gradients.flatten(1)
            rows["exact"] = rows["exact"].masked_scatter(half, ~(torch.isfinite(flat).all(1) & flat.any(1)))
            found.losses[half], found.gradients[half] = losses, gradients
            suspects = counts.clone()
            suspects[half] &= may_have_fooled(logits.float(), part)
            suspects &= ~rows["exact"]
            if suspects.any():
                judged = self.judge(_seen(rows, suspects), loss)
                found.fooled[suspects], found.close[suspects] = judged.fooled, judged.close
        if (exact := rows["exact"]).any():
            again = super().slopes(_seen(rows, exact), loss, counts[exact])
            found.losses[exact], found.gradients[exact] = again.losses, again.gradients
            found.fooled[exact], found.close[exact] = again.fooled, again.close
        return found


PASSES: dict[Directions, type[Passes]] = {"float32": Passes, "bfloat16": HalfPasses}


def fooled_or_close(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which images are fooled, clearly, and which of the others are nearly right or nearly wrong; N×K logits → N, N."""
    lead = margin(logits, labels)
    tie = CLEAR * logits.abs().amax(1)
    fooled = (lead > tie) | ~torch.isfinite(logits).all(1)  # logits that are not finite are no right answer
    return fooled, ~fooled & (lead.abs() <= tie)


def reached_or_close(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Which images are taken for their target, clearly, and which of the others nearly are; N×K logits → N, N."""
    lead = -margin(logits, targets)
    tie = CLEAR * logits.abs().amax(1)
    finite = torch.isfinite(logits).all(1)
    reached = finite & (lead > tie)
    return reached, finite & ~reached & (lead.abs() <= tie)


def _verdicts(logits: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
    return reached_or_close(logits, rows["wanted"]) if "wanted" in rows else fooled_or_close(logits, rows["y"])


def _seen(rows: Rows, which: Tensor) -> Rows:
    """Of some rows, what a pass reads."""
    return {name: rows[name][which] for name in ("x", "y", "aim", "wanted") if name in rows}


def may_have_fooled(logits: Tensor, rows: Rows) -> Tensor:
    """Which images float32 is to decide, N, given their N×K bfloat16 logits."""
    lead = -margin(logits, rows["wanted"]) if "wanted" in rows else margin(logits, rows["y"])
    return ~(lead < -SUSPECT * logits.abs().amax(1))  # NaN counts


def gradient_at(x: Tensor, loss: Tensor) -> Tensor:
    """The gradient of a loss at images.

    Raises:
        RequestError: none reaches them, as behind a step that rounds.
    """
    gradient = torch.autograd.grad(loss, x, allow_unused=True)[0] if loss.requires_grad else None
    if gradient is None:
        raise RequestError("no gradient of this network reaches the image: `--attack square` needs none")
    return gradient
