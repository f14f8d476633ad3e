"""What an attack makes larger, image by image; N×K logits and N labels → N."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from robustbench_zs.errors import RequestError

Loss = Callable[[Tensor, Tensor], Tensor]


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
        raise RequestError("the DLR loss needs at least three classes: use the margin")
    top = logits.topk(3, dim=1).values
    return margin(logits, labels) / (top[:, 0] - top[:, 2]).clamp_min(torch.finfo(logits.dtype).tiny)


LOSSES: dict[str, Loss] = {"ce": cross_entropy, "dlr": logits_ratio, "margin": margin}
