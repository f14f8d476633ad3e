"""Wraps a network of the user's own so that it takes images in [0, 1] and returns logits."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_zs.datasets.images import Statistics
from robustbench_zs.errors import RequestError


class OwnNetwork(nn.Module):
    """Images N×C×H×W in [0, 1] → N×K float32 logits.

    Args:
        network: may give the logits as such, in a tuple, in a dict, or as a Hugging Face output (`.logits`), in any
            floating-point type, and without the dimension of the batch where it has one image.
        normalization: mean and standard deviation per channel that the images are brought to first; none by default.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, normalization: Statistics | None = None) -> None:
        super().__init__()
        self.network = network
        self.normalized = normalization is not None
        if normalization is not None:
            for name, values in zip(("mean", "std"), normalization, strict=True):
                self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        if self.normalized:
            if images.shape[1] != self.mean.shape[1]:
                raise RequestError(f"mean and std have {self.mean.shape[1]} channels, but the images have {images.shape[1]}")
            images = (images - self.mean) / self.std
        logits = logits_in(self.network(images))
        logits = logits if logits.dtype == torch.float32 else logits.float()
        return logits[None] if logits.ndim == 1 and len(images) == 1 else logits


def logits_in(output: Any) -> Tensor:
    """The logits in what a network returned.

    Raises:
        RequestError: the output contains no logits.
    """
    if isinstance(output, Tensor):
        return output
    found = getattr(output, "logits", None)
    if isinstance(output, Mapping):
        found = output.get("logits", next(iter(output.values()), None) if len(output) == 1 else None)
    elif isinstance(output, Sequence) and output and found is None:
        found = output[0]
    if isinstance(found, Tensor):
        return found
    keys = f" with the keys {', '.join(map(str, output))}"[:200] if isinstance(output, Mapping) else ""
    raise RequestError(
        f"the network returned {type(output).__name__}{keys}: it should return a tensor, a tuple whose first item is the "
        "logits, or a dict or an object with `logits`"
    )


def own_copy(network: nn.Module) -> nn.Module:
    """A copy of a module at hand, so that nothing done to it here stays; itself where it cannot be copied, as one that
    keeps features or has `torch.nn.utils.weight_norm`."""
    try:
        with torch.no_grad():  # else the parameters of a scripted module would be copied as results, not as leaves
            return copy.deepcopy(network)
    except Exception:  # whatever a user's `__deepcopy__` raises
        return network
