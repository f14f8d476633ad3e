"""A trained network in half the bytes: weights rounded to float16, everything else as it was."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from robustbench_zs.training.checkpoint import Checkpoint, save_checkpoint

RELATIVE_ERROR = 2.0**-11
"""Of rounding a number in the normal range of float16."""


def save_in_half(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    """Write the checkpoint with its weights rounded to float16 where they survive that (`survives_half`).

    Batch-norm statistics and counters stay what they are. The rounded network is another function, so the new checkpoint has
    another digest; its header has that of the old one in `rounded_from`. Read back, its weights are float32 again.

    Raises:
        RequestError: the checkpoint is damaged.
        UnfinishedError: the file cannot be written.
    """
    network = checkpoint.network()
    names = [name for name, weight in network.named_parameters() if survives_half(weight.detach())]
    with torch.no_grad():
        for name in names:
            weight = network.get_parameter(name)
            weight.copy_(weight.half())
    header = checkpoint.header.model_copy(update={"rounded_from": checkpoint.header.rounded_from or checkpoint.digest})
    return save_checkpoint(path, network, header, in_half=names)


def survives_half(weight: Tensor) -> bool:
    """Whether float16 costs no more than its rounding: in each filter (each place of the first dimension) no value is moved
    by more than 2⁻¹¹ of the largest there.

    That fails where a value overflows (above 65,504) or is not finite, and where all of a filter lies in the subnormal range
    (below 6.1e-5), since batch norm scales such a filter up again.
    """
    rows = weight.double().reshape(len(weight), -1)
    error = (weight.half().double().reshape(rows.shape) - rows).abs().amax(1)
    return bool((error <= RELATIVE_ERROR * rows.abs().amax(1)).all())
