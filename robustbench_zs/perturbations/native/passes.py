"""Passes of the network: all in float32, or with gradients in bfloat16 and verdicts in float32.

An attack follows the sign of a gradient (L2: its direction), which bfloat16 has nearly as well in about 0.6 of the time. A
verdict is always that of the float32 network: bfloat16 logits only say which iterates may have fooled.

A verdict does not depend on the company in the batch, see `CLEAR`. Which way an iterate goes may, in either precision, where
an entry of the gradient is within rounding of 0: no library promises more. Measured, bfloat16 gave each image the same
gradient bit for bit in batches of 1 to 96 on 1 or 2 threads; float32 did so except in batches of 1 and 7.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.base import Directions
from robustbench_zs.perturbations.native.losses import margin
from robustbench_zs.perturbations.native.rules import Rows

RowsLoss = Callable[[Tensor, Rows], Tensor]
"""N×K logits and N rows → N."""

MIN_PIXELS = 16 * 16
"""On smaller images passes cost more calls than arithmetic, and bfloat16 makes more of them."""

CLEAR = 1e-4
"""An example counts where the other class leads by more than this part of the largest |logit|. The network's rounding is
some hundred times smaller, so a network that sees the example in other company decides the same."""

SUSPECT = 2.0**-6
"""An iterate may have fooled where it misses that by at most this part of the largest bfloat16 |logit|. `benchmarks/speed`
has how far bfloat16 and float32 are apart."""


@dataclass(frozen=True)
class Slopes:
    """What a pass found of N iterates: `leads` of what counts over what does not (N), `losses` (N), `gradients` (N×C×H×W,
    or N×0 without), and by float32 whether each is `fooled`, clearly, or `close` to it (N, N)."""

    leads: Tensor
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
        return Slopes(leads(logits, rows), losses, losses.new_empty(len(losses), 0), *_verdicts(logits, rows))

    def slopes(self, rows: Rows, loss: RowsLoss, counts: Tensor) -> Slopes:
        """The gradients of the loss at the iterates of rows.

        Args:
            counts: N, where a verdict is wanted; elsewhere it may be that nothing fooled.
        """
        logits, losses, gradients = differentiate(self.network, rows, loss)
        return Slopes(leads(logits, rows), losses, gradients, *_verdicts(logits, rows))


class HalfPasses(Passes):
    """Passes with gradients in bfloat16 and verdicts in float32.

    An image whose gradient is not finite in bfloat16, or 0, goes on in float32: `exact` says so of its row.
    """

    def slopes(self, rows: Rows, loss: RowsLoss, counts: Tensor) -> Slopes:
        number, no = torch.zeros_like(rows["eps"]), torch.zeros_like(counts)
        found = Slopes(number, number.clone(), torch.zeros_like(rows["x"]), no, no.clone())
        if (half := ~rows["exact"]).any():
            suspects = self._in_bfloat16(rows, half, loss, found) & counts
            if suspects.any():
                judged = self.judge(_seen(rows, suspects), loss)
                found.fooled[suspects], found.close[suspects] = judged.fooled, judged.close
        if (exact := rows["exact"]).any():
            here = super().slopes(_seen(rows, exact), loss, counts[exact])
            for name, values in vars(here).items():
                vars(found)[name][exact] = values
        return found

    def _in_bfloat16(self, rows: Rows, half: Tensor, loss: RowsLoss, found: Slopes) -> Tensor:
        """Write down what bfloat16 says of half of the rows; which of them float32 is to judge."""
        part = _seen(rows, half)
        logits, losses, gradients = differentiate(self._autocast, part, loss)
        flat = gradients.flatten(1)
        found.leads[half], found.losses[half], found.gradients[half] = leads(logits, part), losses, gradients
        usable, suspects = torch.zeros_like(half), torch.zeros_like(half)
        usable[half] = torch.isfinite(flat).all(1) & flat.any(1)
        suspects[half] = may_have_fooled(logits, part)
        rows["exact"] = ~usable
        return suspects & usable

    def _autocast(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            logits: Tensor = self.network(x)
        return logits.float()


PASSES: dict[Directions, type[Passes]] = {"float32": Passes, "bfloat16": HalfPasses}


def faster_directions(device: torch.device, image_shape: tuple[int, ...]) -> Directions:
    """What gradients at C×H×W images are computed in faster: bfloat16 where the device has instructions for it."""
    return "bfloat16" if math.prod(image_shape[1:]) >= MIN_PIXELS and _has_bfloat16(device) else "float32"


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def differentiate(network: Callable[[Tensor], Tensor], rows: Rows, loss: RowsLoss) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (N×K), losses (N) and gradients (N×C×H×W) at the iterates of N rows."""
    x = rows["x"].detach().requires_grad_()
    with torch.enable_grad():
        logits = network(x)
        losses = loss(logits, rows)
        gradients = gradient_at(x, losses.sum())
    return logits.detach(), losses.detach(), gradients


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


def leads(logits: Tensor, rows: Rows) -> Tensor:
    """By how much what counts leads, N: the wanted class over the others, else the largest other logit over the label's."""
    return -margin(logits, rows["wanted"]) if "wanted" in rows else margin(logits, rows["y"])


def may_have_fooled(logits: Tensor, rows: Rows) -> Tensor:
    """Which images float32 is to decide, N, given their N×K bfloat16 logits."""
    return ~(leads(logits, rows) < -SUSPECT * logits.abs().amax(1))  # NaN counts


def gradient_at(x: Tensor, loss: Tensor, again: bool = False) -> Tensor:
    """The gradient of a loss at images.

    Args:
        again: whether that of another loss of the same pass will be wanted.

    Raises:
        RequestError: none reaches them, as behind a step that rounds.
    """
    gradient = torch.autograd.grad(loss, x, allow_unused=True, retain_graph=again)[0] if loss.requires_grad else None
    if gradient is None:
        raise RequestError("the network has no gradient with respect to its input: use the attack square, which needs none")
    return gradient


def is_randomized(network: nn.Module, images: Tensor) -> bool:
    """Whether the logits of two passes differ by more than rounding."""
    with torch.no_grad():
        first, second = network(images), network(images)
    finite = torch.isfinite(first).all(1) & torch.isfinite(second).all(1)
    apart = (first - second).abs().amax(1) > CLEAR * first.abs().amax(1)
    return bool((finite & apart).any())
