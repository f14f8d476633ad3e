"""Checks whether a network's logits for an image are random or depend on the other images of the batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustbench_zs.evaluation.outcomes import NEAR_TIE, evaluation_mode

IMAGES = 16
"""How many images are tried."""

CHANCE = "its outputs are random"


def unsteadiness(network: nn.Module, images: Tensor) -> str | None:
    """A warning about a network whose logits depend on more than the image; None for a network where they do not.

    Two passes over a batch are compared, and its first image alone with the same image in the batch. Logits that differ by
    more than `NEAR_TIE` of the largest are not due to rounding. Noise inside a network and statistics of the batch in
    batch norm hide what an attack could find (compare the randomized defences of Athalye, Carlini, Wagner 2018, §3).

    Args:
        network: on the device of `images`.
        images: at most `IMAGES` are needed.
    """
    with evaluation_mode(network), torch.no_grad():
        once, again, alone = network(images), network(images), network(images[:1])
    if _differ(once, again):
        return (
            f"{CHANCE}: two passes over the same images differ, so these numbers change from run to run, and attacks are "
            "misled; use expectation over transformation (EOT), which takes means over several draws"
        )
    if _differ(once[:1], alone):
        return (
            "its outputs depend on the batch: they differ between an image on its own and the same image among others "
            "(does batch norm use the statistics of the batch?), so these numbers hold for this batch size only"
        )
    return None


def depends_on_chance(words: str | None) -> bool:
    """Whether that is what `unsteadiness` found."""
    return words is not None and words.startswith(CHANCE)


def _differ(logits: Tensor, others: Tensor) -> bool:
    close = torch.isclose(
        logits, others, rtol=0, atol=NEAR_TIE * float(torch.nan_to_num(logits).abs().max()), equal_nan=True
    )
    return not bool(close.all())
