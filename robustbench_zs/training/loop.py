"""The training loop: one network, one process or several, no framework in between."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_zs.datasets import Split
from robustbench_zs.schemes import TrainableScheme
from robustbench_zs.training.distributed import ALONE, Processes
from robustbench_zs.training.feed import make_feed
from robustbench_zs.training.header import EpochHeader, finite
from robustbench_zs.training.recipe import Recipe
from robustbench_zs.training.state import StateFile, TrainingState, restore
from robustbench_zs.training.step import Step, set_rate, sgd
from robustbench_zs.training.streams import stream

TEST_BATCH = 512

TEST_SHARE = 0.03
"""How much of a training's time testing may take as it goes: where test images are many beside the training images, it is
left out after some of the epochs."""


@dataclass(frozen=True)
class Epoch:
    """One epoch: mean loss, running training accuracy and test accuracy in percent, seconds it took.

    `learning_rate` is the highest of its steps.

    The test accuracy is NaN where it was not taken, see `tested_after`. `block_parameters` are the trainable parameters of
    the scheme at its end, None without any.
    """

    epoch: int
    learning_rate: float
    loss: float
    train_accuracy: float
    test_accuracy: float
    seconds: float
    block_parameters: tuple[float, ...] | None = None

    @property
    def diverged(self) -> bool:
        return not math.isfinite(self.loss)

    def header(self) -> EpochHeader:
        """The epoch as files hold it, numbers that are not finite as null."""
        values = asdict(self)
        parameters = values.pop("block_parameters")
        numbers = {name: finite(value) for name, value in values.items()}
        blocks = None if parameters is None else [finite(p) for p in parameters]
        return EpochHeader.model_validate({**numbers, "block_parameters": blocks})

    @staticmethod
    def of(header: EpochHeader) -> Epoch:
        """The epoch that a file holds."""
        values: dict[str, Any] = {name: math.nan if value is None else value for name, value in header.model_dump().items()}
        blocks = header.block_parameters
        parameters = None if blocks is None else tuple(math.nan if p is None else p for p in blocks)
        return Epoch(**{**values, "block_parameters": parameters})


OnEpoch = Callable[[Epoch], None]


class Training:
    """One network between two epochs, and everything that goes on from one to the next.

    Args:
        network: on the device that trains it, changed in place.
        state: where the training is written down from time to time; None where it is not, or by another process.
        loaders: worker processes that decode images from files.
    """

    def __init__(
        self,
        network: nn.Module,
        train: Split,
        recipe: Recipe,
        seed: int,
        on_epoch: OnEpoch = lambda epoch: None,
        state: StateFile | None = None,
        loaders: int = 0,
    ) -> None:
        self.network = network.train()
        self.device = next(network.parameters()).device
        self.recipe, self.on_epoch, self.state = recipe, on_epoch, state
        self.optimizer = sgd(network, recipe)
        self.feed = make_feed(train, recipe.augmentation, seed, self.device, loaders)
        self.images = len(train)
        self.generators = {"order": stream(seed, "order")}
        if self.feed.generator is not None:
            self.generators["augmentation"] = self.feed.generator
        self.history: list[Epoch] = []
        self.best_accuracy, self.best_weights = -1.0, dict[str, Tensor]()

    @property
    def ended(self) -> bool:
        """All epochs are done, or the last one was not finite: for networks that are not zero-stable this is a result."""
        return len(self.history) == self.recipe.epochs or bool(self.history and self.history[-1].diverged)

    def resume(self, found: TrainingState | None) -> None:
        """Go on from a written state.

        Raises:
            RequestError: it is not one of this training.
        """
        if found is not None:
            restore(found, self.network, self.optimizer, self.generators)
            self.history = [Epoch.of(epoch) for epoch in found.header.history]
            self.best_accuracy, self.best_weights = found.header.best_accuracy, found.part("best")

    def order(self) -> Tensor:
        """The order of the images in the next epoch."""
        return torch.randperm(self.images, generator=self.generators["order"])

    def is_tested(self, loss_sum: float, test: Split) -> bool:
        """Whether the test accuracy is taken after an epoch with this sum of losses, see `tested_after`."""
        number = len(self.history) + 1
        return tested_after(number, self.recipe, self.images, len(test)) or not math.isfinite(loss_sum)

    def end_epoch(
        self,
        rates: Sequence[float],
        sums: Sequence[float],
        images: int,
        test_accuracy: float,
        seconds: float,
        fetch: Callable[[], None] = lambda: None,
    ) -> None:
        """Note an epoch, keep its weights where they are the best, and write the state from time to time.

        Args:
            rates: learning rates of its steps.
            sums: of the loss and of right answers, over so many images.
            test_accuracy: in percent, NaN where it is not taken.
            fetch: gives the network its weights where they are elsewhere; called where they are needed.

        Raises:
            UnfinishedError: the state cannot be written.
        """
        loss_sum, right = sums
        epoch = Epoch(
            epoch=len(self.history) + 1,
            learning_rate=max(rates),
            loss=loss_sum / images,
            train_accuracy=100 * right / images,
            test_accuracy=test_accuracy,
            seconds=seconds,
            block_parameters=block_parameters(self.network),
        )
        self.history.append(epoch)
        self.on_epoch(epoch)
        best = self.recipe.weights == "best" and not epoch.diverged and epoch.test_accuracy > self.best_accuracy
        due = self.state is not None and self.state.due and not self.ended
        if best or due or self.ended:
            fetch()
        if best:
            self.best_accuracy = epoch.test_accuracy
            self.best_weights = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        if self.state is not None and due:
            epochs = [epoch.header() for epoch in self.history]
            self.state.write(self.network, self.optimizer, self.generators, epochs, self.best_accuracy, self.best_weights)

    def finish(self) -> list[Epoch]:
        """Leave the network with the weights the recipe asks for; the history."""
        if self.best_weights:
            self.network.load_state_dict(self.best_weights)
        self.network.eval()
        return self.history


def fit(training: Training, test: Split, group: Processes = ALONE, compiled: bool = False) -> list[Epoch]:
    """Go through with a training and return the history; the network is left with the weights the recipe asks for.

    It goes on from where it was written down, if it was interrupted. A loss that is not finite ends it after that epoch.

    Args:
        group: the processes that train it together; each calls this function with its own device.
        compiled: whether steps run compiled code; results change by rounding.

    Raises:
        RequestError: recipe, images and number of processes do not go together; the written state is damaged.
    """
    training.resume(group.agreed(training.state.read() if training.state else None))
    step = Step(training.network, training.optimizer, training.recipe, group, compiled)
    while not training.ended:
        start, number = time.perf_counter(), len(training.history)
        # Sums stay on the device: reading them every step would make a GPU wait for the CPU.
        sums = torch.zeros(2, device=training.device)
        steps, used = step.batches(training.order())
        rates = training.recipe.learning_rates(number, len(steps))
        feed = training.feed.shares(number, steps, step.shares, step.own)
        for batch, rate, shares in zip(steps, rates, feed, strict=True):
            set_rate(training.optimizer, rate)
            sums += step(shares, len(batch))
        totals = group.sum(sums).tolist()
        group.share_buffers(training.network)
        test_accuracy = accuracy_so_far(training, totals[0], test, group)
        training.end_epoch(rates, totals, used, test_accuracy, time.perf_counter() - start)
    return training.finish()


def tested_after(epoch: int, recipe: Recipe, images: int, test_images: int) -> bool:
    """Whether the test accuracy is taken after an epoch, counted from 1: always after the last one, and where it chooses the
    weights; besides as often as `TEST_SHARE` allows, for which a gradient counts as three classifications."""
    every = math.ceil(test_images / (3 * images * TEST_SHARE))
    return recipe.weights == "best" or epoch == recipe.epochs or epoch % every == 0


def block_parameters(network: nn.Module) -> tuple[float, ...] | None:
    """The trainable parameters of the scheme as they act now, None without any."""
    if isinstance(getattr(network, "scheme", None), TrainableScheme):
        return tuple(network.effective_parameters().tolist())  # type: ignore[operator]
    return None


def accuracy_so_far(training: Training, loss_sum: float, test: Split, group: Processes = ALONE) -> float:
    """Test accuracy in percent after an epoch with this sum of losses, NaN where it is not taken; what is reported is
    measured by `evaluation`."""
    if not training.is_tested(loss_sum, test):
        return math.nan
    network, device = training.network.eval(), training.device
    correct = torch.zeros((), dtype=torch.int64, device=device)
    with torch.no_grad():
        for start in range(group.rank * TEST_BATCH, len(test), group.size * TEST_BATCH):
            part = slice(start, start + TEST_BATCH)
            logits = network(test.images(part).to(device))
            correct += (logits.argmax(1) == test.labels[part].to(device)).sum()
    network.train()
    return 100 * int(group.sum(correct)) / len(test)
