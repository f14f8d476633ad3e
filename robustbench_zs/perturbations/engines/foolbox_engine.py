"""Attacks by foolbox (Rauber et al. 2020)."""

from __future__ import annotations

from typing import Any

import foolbox
import torch
from foolbox.attacks import LinfFastGradientAttack, LinfProjectedGradientDescentAttack
from torch import Tensor, nn

from robustbench_zs.perturbations import draws
from robustbench_zs.perturbations.engines import Batch


class _PGD(LinfProjectedGradientDescentAttack):  # type: ignore[misc]
    """foolbox's PGD with a random start that belongs to the image instead of coming from the global generator."""

    def __init__(self, steps: int, step_size: float, start: Tensor) -> None:
        super().__init__(steps=steps, abs_stepsize=step_size, random_start=True)
        self.start = start

    def get_random_start(self, x0: Any, epsilon: float) -> Any:
        unit = self.start.to(x0.raw.device)
        return x0 + (2 * unit - 1) * epsilon


def fgsm(network: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Tensor:
    return _run(LinfFastGradientAttack(), network, images, labels, eps)


def pgd(network: nn.Module, batch: Batch, eps: float, steps: int, step_size: float, seed: int, restart: int) -> Tensor:
    start = draws.uniform(seed, draws.RANDOM_START, batch.indices, tuple(batch.images.shape[1:]), restart)
    return _run(_PGD(steps, step_size, start), network, batch.images, batch.labels, eps)


def _run(attack: Any, network: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Tensor:
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device=images.device)
    with torch.enable_grad():
        # run() instead of a call: that would classify the results once more, which the evaluation does itself
        result = attack.run(model, images, foolbox.criteria.Misclassification(labels), epsilon=eps)
    assert isinstance(result, Tensor)
    return result.detach()
