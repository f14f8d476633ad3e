"""Several networks of one shape trained as one module; see `networks.stacked`.

What a network becomes depends on the number of places in the stack, which belongs to the execution choice, but not on its
own place or on who is in the others: a network trained alone fills the other places with copies of itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from robustbench_zs.datasets import Split
from robustbench_zs.networks.multistep import MultistepResNet
from robustbench_zs.networks.stacked import joined, part_of, stack
from robustbench_zs.training.feed import Share
from robustbench_zs.training.loop import TEST_BATCH, Training
from robustbench_zs.training.step import set_rate, sgd


class Stack:
    """Trainings of one recipe, at the same epoch, in a stack of so many places."""

    def __init__(self, trainings: Sequence[Training], places: int) -> None:
        self.trainings = list(trainings)
        self.recipe = trainings[0].recipe
        self.members = [*trainings, *[trainings[0]] * (places - len(trainings))]
        networks = [cast(MultistepResNet, t.network) for t in self.members]
        self.network = stack(networks)
        self.optimizer = sgd(self.network, self.recipe)
        parameters = [dict(n.named_parameters()) for n in networks]
        for name, whole in self.network.named_parameters():
            parts = [
                t.optimizer.state[p[name]].get("momentum_buffer") for t, p in zip(self.members, parameters, strict=True)
            ]
            if all(part is not None for part in parts):
                momentum = joined([part for part in parts if part is not None], whole.shape)
                self.optimizer.state[whole]["momentum_buffer"] = torch.empty_like(whole).copy_(momentum)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Take a step; N×(M·C)×H×W images and M×N labels → M×2 sums of loss and of right answers."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            logits = self.network(images)
            losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape).mean(1)
        # The loss of one network has no gradient for another, so the gradient of the sum is each one's own.
        losses.sum().backward()
        self.optimizer.step()
        right = (logits.detach().argmax(2) == labels).sum(1)
        return torch.stack([losses.detach() * labels.shape[1], right.to(losses.dtype)], 1)

    def spread(self, index: int) -> None:
        """Give the network at a place its weights, statistics and momentum."""
        training, places = self.trainings[index], len(self.members)
        whole = self.network.state_dict()
        with torch.no_grad():
            for name, tensor in training.network.state_dict().items():
                tensor.copy_(part_of(whole[name], index, places, tensor.shape))
        own = dict(training.network.named_parameters())
        for name, parameter in self.network.named_parameters():
            momentum = self.optimizer.state[parameter].get("momentum_buffer")
            if momentum is not None:
                part = part_of(momentum, index, places, own[name].shape)
                training.optimizer.state[own[name]]["momentum_buffer"] = torch.empty_like(own[name]).copy_(part)

    def accuracies(self, data: Split, device: torch.device) -> list[float]:
        """Test accuracy of each network in percent, as the training goes."""
        self.network.eval()
        correct = torch.zeros(len(self.members), dtype=torch.int64, device=device)
        with torch.no_grad():
            for start in range(0, len(data), TEST_BATCH):
                part = slice(start, start + TEST_BATCH)
                images = data.images(part).to(device).repeat(1, len(self.members), 1, 1)
                correct += (self.network(images).argmax(2) == data.labels[part].to(device)).sum(1)
        self.network.train()
        return (100 * correct / len(data)).tolist()


def side_by_side(batches: Sequence[Share]) -> tuple[Tensor, Tensor]:
    """The batches of M networks as a stack takes them: images N×(M·C)×H×W, labels M×N."""
    images = torch.cat([images for images, _ in batches], 1).contiguous(memory_format=torch.channels_last)
    return images, torch.stack([labels for _, labels in batches])


def fit_together(trainings: Sequence[Training], places: int, test: Split, device: torch.device) -> None:
    """Train networks of one shape, images and recipe in a stack until all have ended; see `loop.fit`.

    One whose loss is not finite ends after that epoch, and the others go on.

    Args:
        trainings: at most `places`, all with the same number of epochs behind them.
    """
    stack = Stack(trainings, places)
    recipe = stack.recipe
    first = len(trainings[0].history)
    for number in range(first, recipe.epochs):
        start = time.perf_counter()
        sums = torch.zeros(len(stack.members), 2, device=device)
        orders = [t.order().split(recipe.batch_size) for t in trainings]
        feeds = [t.feed.shares(number, order, 1, range(1)) for t, order in zip(trainings, orders, strict=True)]
        rates = recipe.learning_rates(number, len(orders[0]))
        for rate, *shares in zip(rates, *feeds, strict=True):
            set_rate(stack.optimizer, rate)
            batches = [share[0] for share in shares]
            batches += batches[:1] * (places - len(batches))
            sums += stack.step(*side_by_side(batches))
        tested = trainings[0].is_tested(float(sums.sum()), test)
        accuracies = stack.accuracies(test, device) if tested else [math.nan] * places
        seconds = (time.perf_counter() - start) / len(trainings)
        for index, (training, totals) in enumerate(zip(trainings, sums.tolist(), strict=False)):
            if not training.ended:
                fetch = partial(stack.spread, index)
                training.end_epoch(rates, totals, training.images, accuracies[index], seconds, fetch)
        if all(training.ended for training in trainings):
            return
