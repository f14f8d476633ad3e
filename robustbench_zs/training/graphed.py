"""Networks trained side by side on a GPU, the steps of each replayed as a CUDA graph on a stream of its own.

A step of a small network is some hundred kernels of a few microseconds each: started one by one they keep a processor busy
and leave most of a GPU idle. A graph starts them all at once, and several streams fill the GPU. Unlike a stack this asks for
no shape in common, and nothing of one network enters the computation of another.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Tensor

from robustbench_zs.datasets import LabelledImages, Split
from robustbench_zs.training.augmentation import CropsAndFlips
from robustbench_zs.training.feed import MemoryFeed
from robustbench_zs.training.loop import Training, accuracy_so_far
from robustbench_zs.training.step import mean_loss

WARM_UP = 3
"""Steps that are taken eagerly before one is recorded: cuDNN chooses its kernels in them, and momentum begins to exist."""


class GraphedTraining:
    """The epochs of one training on a stream of its own.

    Order, random numbers and rates of an epoch lie on the device and a step reads its own by a counter there, so that a step
    costs the processor one call.

    Args:
        training: of images in memory, with one replica. Without CUDA there is no stream, and nothing is recorded.
    """

    def __init__(self, training: Training) -> None:
        assert isinstance(training.feed, MemoryFeed)
        self.training, self.feed, device = training, training.feed, training.device
        size = training.recipe.batch_size
        self.whole_steps, self.rest = divmod(training.images, size)
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        if self.stream:
            self.stream.wait_stream(torch.cuda.current_stream(device))
        self.graph: torch.cuda.CUDAGraph | None = None
        self.taken = 0
        with torch.cuda.stream(self.stream):
            self.rate = torch.zeros((), device=device)
            self.rates = torch.zeros(self.whole_steps + bool(self.rest), device=device)
            self.plan = torch.zeros(self.whole_steps, 4, size, dtype=torch.int64, device=device)
            self.plan_of_rest = torch.zeros(4, self.rest, dtype=torch.int64, device=device)
            self.number = torch.zeros(1, dtype=torch.int64, device=device)
            self.sums = torch.zeros(2, device=device)
        for group in training.optimizer.param_groups:
            group["lr"] = self.rate

    def begin(self) -> None:
        """Bring what the next epoch is made of to the device."""
        training, feed = self.training, self.feed
        steps = training.order().split(training.recipe.batch_size)
        self.learning_rates = training.recipe.learning_rates(len(training.history), len(steps))
        rows = [_row(*feed.planned(step)) for step in steps]
        with torch.cuda.stream(self.stream):
            self.rates.copy_(torch.tensor(self.learning_rates))
            if self.whole_steps:
                self.plan.copy_(torch.stack(rows[: self.whole_steps]))
            if self.rest:
                self.plan_of_rest.copy_(rows[-1])
            self.number.zero_()
            self.sums.zero_()

    def take(self, number: int) -> None:
        """Start the step of that number in the epoch; does not wait for it."""
        with torch.cuda.stream(self.stream):
            if number == self.whole_steps:
                self._step(self.plan_of_rest)
                return
            if self.taken == WARM_UP and self.stream:
                self.graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self.graph, stream=self.stream):
                    self._whole_step()
            self.taken += 1
            if self.graph:
                self.graph.replay()
            else:
                self._whole_step()

    def _whole_step(self) -> None:
        self._step(self.plan.index_select(0, self.number)[0])

    def _step(self, row: Tensor) -> None:
        training = self.training
        training.optimizer.zero_grad(set_to_none=True)
        self.rate.copy_(self.rates.index_select(0, self.number)[0])
        index, top, left, mirror = row.unbind()
        draws = CropsAndFlips(top, left, mirror.bool()) if self.feed.augmentation == "crop-flip" else None
        mean_loss(training.network, self.feed.share(index, draws), training.recipe, self.sums).backward()
        training.optimizer.step()
        self.number.add_(1)

    def wait(self) -> None:
        """Wait for what was started."""
        if self.stream:
            self.stream.synchronize()

    def end(self, test: Split, seconds: float) -> None:
        """Note an epoch whose steps are done.

        Args:
            seconds: what it took.
        """
        with torch.cuda.stream(self.stream):
            sums = self.sums.tolist()
            test_accuracy = accuracy_so_far(self.training, sums[0], test)
            self.training.end_epoch(self.learning_rates, sums, self.training.images, test_accuracy, seconds)
        self.wait()


def _row(index: Tensor, draws: CropsAndFlips | None) -> Tensor:
    """A step as numbers, int64 4×N: images, top and left corners, whether mirrored."""
    if draws is None:
        return torch.stack([index] * 4)
    return torch.stack([index, draws.top, draws.left, draws.mirror.long()])


def kernels_by_trial() -> AbstractContextManager[None]:
    """Let cuDNN try its kernels in the steps of the warm-up inside the block."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=True)


def fit_graphed(trainings: Sequence[Training], test: Split) -> None:
    """Train networks of one recipe and number of images side by side on a device until all have ended; see `loop.fit`.

    Args:
        trainings: see `GraphedTraining`.
    """
    device = trainings[0].device
    if isinstance(test, LabelledImages):
        test = replace(test, pixels=test.pixels.to(device), labels=test.labels.to(device))
    with kernels_by_trial():
        under_way = [GraphedTraining(training) for training in trainings if not training.ended]
        while under_way:
            start = time.perf_counter()
            for graphed in under_way:
                graphed.begin()
            for number in range(under_way[0].whole_steps + bool(under_way[0].rest)):
                for graphed in under_way:
                    graphed.take(number)
            for graphed in under_way:
                graphed.wait()
            seconds = (time.perf_counter() - start) / len(under_way)
            for graphed in under_way:
                graphed.end(test, seconds)
            under_way = [graphed for graphed in under_way if not graphed.training.ended]
