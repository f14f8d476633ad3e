"""One step of SGD over the shares of a process, eager or compiled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.networks.multistep import MultistepResNet
from robustbench_zs.networks.stacked import stack_shape
from robustbench_zs.schemes import TrainableScheme
from robustbench_zs.training.distributed import Processes, wrapped
from robustbench_zs.training.feed import Share
from robustbench_zs.training.recipe import Recipe


def can_compile(device: str) -> bool:
    """Whether torch can make code for the device here: for a CPU it needs a C++ compiler."""
    return device != "cpu" or shutil.which(os.environ.get("CXX", "g++")) is not None


class Step:
    """One step of SGD over the shares of this process; see `Recipe.replicas`.

    Args:
        network: on its device.
        optimizer: of the network's parameters.
        group: the processes that take the step together.
        compiled: see `fit`; with several shares or processes it has no effect.

    Raises:
        RequestError: the shares cannot be dealt to the processes.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        group: Processes,
        compiled: bool = False,
    ) -> None:
        self.shares, self.own = group.dealt(recipe.replicas)
        self.recipe, self.group, self.optimizer = recipe, group, optimizer
        self.network = wrapped(network, group, recipe.replicas)
        self.whole: Callable[[Tensor], Tensor] = self.network
        if compiled and group.size == 1 and recipe.replicas == 1:
            if isinstance(network, MultistepResNet):
                network.scalars_to_data()
            _make_room(network, recipe)
            self.whole = torch.compile(network, dynamic=False)
        # Running statistics follow the first share, whoever works on the others.
        follow = (nn.BatchNorm2d,) if recipe.replicas > 1 else ()
        self.followers = [m for m in network.modules() if isinstance(m, follow)]

    def batches(self, order: Tensor) -> tuple[list[Tensor], int]:
        """The images of each step, and how many there are in all; what is too small a rest for all shares is left out.

        Raises:
            RequestError: fewer images than shares.
        """
        steps = [batch for batch in order.split(self.recipe.batch_size) if len(batch) >= self.shares]
        if not steps:
            raise RequestError(f"{len(order)} training images are too few for {self.shares} replicas: use fewer replicas")
        return steps, sum(map(len, steps))

    def __call__(self, shares: list[Share], images_of_step: int) -> Tensor:
        """Take the step; sums over this process's images of loss and of right answers, float32 of 2."""
        self.optimizer.zero_grad(set_to_none=True)
        sums = torch.zeros(2, device=shares[0][0].device)
        for number, (images, labels) in zip(self.own, shares, strict=True):
            for module in self.followers:
                module.track_running_stats = number == 0
            last = number == self.own[-1]
            with nullcontext() if last or self.group.size == 1 else self.network.no_sync():  # type: ignore[operator]
                # The rest at the end of an epoch is another shape, which is not worth compiling for.
                network = self.whole if len(images) == self.recipe.batch_size else self.network
                loss = mean_loss(network, (images, labels), self.recipe, sums)
                # The gradient of the mean over the whole step; where there are several processes, they average theirs.
                (loss * (self.group.size * len(labels) / images_of_step)).backward()
        for module in self.followers:
            module.track_running_stats = True
        self.optimizer.step()
        return sums


def mean_loss(network: Callable[[Tensor], Tensor], share: Share, recipe: Recipe, sums: Tensor) -> Tensor:
    """Mean loss over the images of a share; the sums of loss and of right answers are added to `sums`, float32 of 2."""
    images, labels = share
    with torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        logits = network(images)
        loss = F.cross_entropy(logits, labels)
    sums[0].add_(loss.detach() * len(labels))
    sums[1].add_((logits.detach().argmax(1) == labels).sum())
    return loss


_compiled: set[Hashable] = set()
"""Shapes of the networks that this process has compiled code for."""

MAX_COMPILED = 4
"""Shapes for which compiled code is kept: a network of a known shape starts at once. Torch silently stops compiling at 8."""


def _make_room(network: nn.Module, recipe: Recipe) -> None:
    """Drop compiled code where this network's would be too much."""
    spec = getattr(network, "spec", None)
    sizes = tuple(tuple(p.shape) for p in network.parameters())
    shape = (spec and (stack_shape(spec) or spec), sizes, recipe.batch_size, recipe.precision)
    if shape not in _compiled and len(_compiled) >= MAX_COMPILED:
        torch.compiler.reset()
        _compiled.clear()
    _compiled.add(shape)


def sgd(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """The recipe's optimizer, with one fused update for all of the 230 parameter tensors that 56 layers have."""
    return torch.optim.SGD(
        parameter_groups(network, recipe.weight_decay),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        fused=next(network.parameters()).device.type in ("cpu", "cuda"),
    )


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for the optimizer: everything decays but the parameters of a scheme that says it does not."""
    scheme = getattr(network, "scheme", None)
    spared = isinstance(scheme, TrainableScheme) and not scheme.weight_decay
    decaying: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        (free if spared and name == "parameters_of_blocks" else decaying).append(parameter)
    groups: list[dict[str, Any]] = [{"params": decaying, "weight_decay": weight_decay}]
    return [*groups, {"params": free, "weight_decay": 0.0}] if free else groups


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for parameters in optimizer.param_groups:
        parameters["lr"] = rate
