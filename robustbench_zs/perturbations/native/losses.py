"""Losses that attacks maximize, image by image: N×K logits and N labels → N."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from robustbench_zs.errors import RequestError

Loss = Callable[[Tensor, Tensor], Tensor]
TargetedLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""N×K logits, N labels and N target classes → N."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """−log softmax of the label; its gradient vanishes where the network is very sure."""
    return F.cross_entropy(logits, labels, reduction="none")


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Largest logit of another class − logit of the label (Carlini and Wagner 2017): positive where the image is wrong."""
    chosen = labels[:, None]
    others = logits.scatter(1, chosen, -torch.inf).amax(1)
    return others - logits.gather(1, chosen)[:, 0]


def logits_ratio(logits: Tensor, labels: Tensor) -> Tensor:
    """Difference of logits ratio, DLR (Croce and Hein 2020, eq. 6): the margin over largest − third-largest logit.

    It does not change when the logits are scaled or shifted.

    Raises:
        RequestError: there are fewer than three classes.
    """
    if logits.shape[1] < 3:
        raise RequestError(f"the DLR loss needs at least 3 classes, but this network has {logits.shape[1]}: use the margin")
    top = logits.topk(3, dim=1).values
    return margin(logits, labels) / (top[:, 0] - top[:, 2]).clamp_min(torch.finfo(logits.dtype).tiny)


LOSSES: dict[str, Loss] = {"ce": cross_entropy, "dlr": logits_ratio, "margin": margin}


def targeted_cross_entropy(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """log softmax of the target."""
    return -cross_entropy(logits, targets)


def targeted_margin(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Logit of the target − largest of the others: positive where the target is reached."""
    return -margin(logits, targets)


def lead(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Logit of the target − logit of the label."""
    return (logits.gather(1, targets[:, None]) - logits.gather(1, labels[:, None]))[:, 0]


def targeted_logits_ratio(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Targeted DLR (Croce and Hein 2020, eq. 7): the lead over largest − mean of the third- and fourth-largest logit.

    Raises:
        RequestError: there are fewer than four classes.
    """
    if logits.shape[1] < 4:
        raise RequestError(f"the targeted DLR loss needs at least 4 classes, but this network has {logits.shape[1]}")
    top = logits.topk(4, dim=1).values
    spread = top[:, 0] - (top[:, 2] + top[:, 3]) / 2
    return lead(logits, labels, targets) / spread.clamp_min(torch.finfo(logits.dtype).tiny)


TARGETED_LOSSES: dict[str, TargetedLoss] = {
    "ce": targeted_cross_entropy,
    "dlr": targeted_logits_ratio,
    "margin": targeted_margin,
}
