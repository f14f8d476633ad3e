"""The training loop: one network, one process or several, no framework in between."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustbench_zs.datasets import Split
from robustbench_zs.errors import RequestError
from robustbench_zs.networks.multistep import MultistepResNet
from robustbench_zs.networks.stacked import stack_shape
from robustbench_zs.schemes import TrainableScheme
from robustbench_zs.training.checkpoint import EpochHeader, finite
from robustbench_zs.training.distributed import ALONE, Processes, wrapped
from robustbench_zs.training.feed import Share, make_feed
from robustbench_zs.training.recipe import Recipe
from robustbench_zs.training.state import StateFile, TrainingState, restore
from robustbench_zs.training.streams import stream

TEST_BATCH = 512

TEST_SHARE = 0.03
"""How much of a training's time testing may take as it goes: where test images are many beside the training images, it is
left out after some of the epochs."""


def can_compile(device: str) -> bool:
    """Whether torch can make code for the device here: for a CPU it needs a C++ compiler."""
    return device != "cpu" or shutil.which(os.environ.get("CXX", "g++")) is not None


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
        network: on `device`, changed in place.
        state: where the training is written down from time to time.
        loaders: worker processes that decode images from files.
    """

    def __init__(
        self,
        network: nn.Module,
        train: Split,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        on_epoch: OnEpoch = lambda epoch: None,
        state: StateFile | None = None,
        loaders: int = 0,
    ) -> None:
        self.network = network.to(device).train()
        self.recipe, self.on_epoch, self.state = recipe, on_epoch, state
        self.optimizer = sgd(network, recipe)
        self.feed = make_feed(train, recipe.augmentation, seed, device, loaders)
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

    @property
    def state_due(self) -> bool:
        """Whether it is time to write the state."""
        return self.state is not None and self.state.due and not self.ended

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

    def add(self, epoch: Epoch) -> None:
        """Note an epoch; the network has its weights."""
        self.history.append(epoch)
        self.on_epoch(epoch)
        if self.recipe.weights == "best" and not epoch.diverged and epoch.test_accuracy > self.best_accuracy:
            self.best_accuracy = epoch.test_accuracy
            self.best_weights = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    def write(self) -> None:
        """Write the state.

        Raises:
            UnfinishedError: the file cannot be written.
        """
        if self.state is not None:
            epochs = [epoch.header() for epoch in self.history]
            self.state.write(self.network, self.optimizer, self.generators, epochs, self.best_accuracy, self.best_weights)

    def finish(self) -> list[Epoch]:
        """Leave the network with the weights the recipe asks for; the history."""
        if self.best_weights:
            self.network.load_state_dict(self.best_weights)
        self.network.eval()
        return self.history


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for parameters in optimizer.param_groups:
        parameters["lr"] = rate


def fit(
    network: nn.Module,
    train: Split,
    test: Split,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    on_epoch: OnEpoch = lambda epoch: None,
    *,
    group: Processes = ALONE,
    state: StateFile | None = None,
    loaders: int = 0,
    compiled: bool = False,
) -> list[Epoch]:
    """Train `network` in place on `device` and return the history; it is left with the weights the recipe asks for.

    A loss that is not finite ends the training after that epoch.

    Args:
        group: the processes that train it together; each calls this function with its own device.
        state: where the training is written down from time to time, and goes on from if it was interrupted.
        loaders: worker processes that decode images from files.
        compiled: whether steps run compiled code; results change by rounding.

    Raises:
        RequestError: recipe, images and number of processes do not go together; the written state is damaged.
    """
    training = Training(network, train, recipe, seed, device, on_epoch, state, loaders)
    training.resume(group.agreed(state.read() if state and group.first else None))
    step = Step(network, training.optimizer, recipe, group, compiled)
    while not training.ended:
        start, number = time.perf_counter(), len(training.history)
        # Sums stay on the device: reading them every step would make a GPU wait for the CPU.
        sums = torch.zeros(2, device=device)
        steps, used = step.batches(training.order())
        rates = recipe.learning_rates(number, len(steps))
        feed = training.feed.shares(number, steps, step.shares, step.own)
        for batch, rate, shares in zip(steps, rates, feed, strict=True):
            set_rate(training.optimizer, rate)
            sums += step(shares, len(batch))
        loss_sum, correct = group.sum(sums).tolist()
        group.share_buffers(network)
        tested = tested_after(number + 1, recipe, training.images, len(test)) or not math.isfinite(loss_sum)
        training.add(
            Epoch(
                epoch=number + 1,
                learning_rate=max(rates),
                loss=loss_sum / used,
                train_accuracy=100 * correct / used,
                test_accuracy=_accuracy(network, test, device, group) if tested else math.nan,
                seconds=time.perf_counter() - start,
                block_parameters=_block_parameters(network),
            )
        )
        if group.first and training.state_due:
            training.write()
    return training.finish()


def tested_after(epoch: int, recipe: Recipe, images: int, test_images: int) -> bool:
    """Whether the test accuracy is taken after an epoch, counted from 1: always after the last one, and where it chooses the
    weights; besides as often as `TEST_SHARE` allows, for which a gradient counts as three classifications."""
    every = math.ceil(test_images / (3 * images * TEST_SHARE))
    return recipe.weights == "best" or epoch == recipe.epochs or epoch % every == 0


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
        self.batch_size = recipe.batch_size
        self.group = group
        self.optimizer = optimizer
        self.device_type = next(network.parameters()).device.type
        self.autocast = recipe.precision == "bfloat16"
        self.network = wrapped(network, group, recipe.replicas)
        self.whole: Callable[[Tensor], Tensor] = self.network
        if compiled and group.size == 1 and recipe.replicas == 1:
            if isinstance(network, MultistepResNet):
                network.scalars_to_data()
            _make_room(network, recipe)
            # On a GPU hundreds of small kernels a step are replayed as CUDA graphs.
            mode = "reduce-overhead" if self.device_type == "cuda" else None
            self.whole = torch.compile(network, dynamic=False, mode=mode)
        # Running statistics follow the first share, whoever works on the others.
        follow = (nn.BatchNorm2d,) if recipe.replicas > 1 else ()
        self.followers = [m for m in network.modules() if isinstance(m, follow)]

    def batches(self, order: Tensor) -> tuple[list[Tensor], int]:
        """The images of each step, and how many there are in all; what is too small a rest for all shares is left out.

        Raises:
            RequestError: fewer images than shares.
        """
        steps = [batch for batch in order.split(self.batch_size) if len(batch) >= self.shares]
        if not steps:
            raise RequestError(f"{len(order)} training images cannot be dealt to {self.shares} replicas")
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
                with torch.autocast(self.device_type, torch.bfloat16, enabled=self.autocast):
                    # The rest at the end of an epoch is another shape, which is not worth compiling for.
                    logits = (self.whole if len(images) == self.batch_size else self.network)(images)
                    loss = F.cross_entropy(logits, labels)
                # The gradient of the mean over the whole step; where there are several processes, they average theirs.
                (loss * (self.group.size * len(labels) / images_of_step)).backward()
            sums[0] += loss.detach() * len(labels)
            sums[1] += (logits.detach().argmax(1) == labels).sum()
        for module in self.followers:
            module.track_running_stats = True
        self.optimizer.step()
        return sums


_compiled: set[Hashable] = set()
"""Shapes of the networks that this process has compiled code for."""

MOST_COMPILED = 4
"""Shapes for which compiled code is kept: a network of a known shape starts at once. Torch silently stops compiling at 8."""


def _make_room(network: nn.Module, recipe: Recipe) -> None:
    """Drop compiled code where this network's would be too much; a GPU's CUDA graphs hold the tensors of one network."""
    spec = getattr(network, "spec", None)
    sizes = tuple(tuple(p.shape) for p in network.parameters())
    shape = (spec and (stack_shape(spec) or spec), sizes, recipe.batch_size, recipe.precision)
    if next(network.parameters()).is_cuda or (shape not in _compiled and len(_compiled) >= MOST_COMPILED):
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


def _block_parameters(network: nn.Module) -> tuple[float, ...] | None:
    if isinstance(getattr(network, "scheme", None), TrainableScheme):
        return tuple(network.effective_parameters().tolist())  # type: ignore[operator]
    return None


def _accuracy(network: nn.Module, data: Split, device: torch.device, group: Processes) -> float:
    """Accuracy in percent as the training goes; what is reported is measured by `evaluation`."""
    network.eval()
    correct = torch.zeros((), dtype=torch.int64, device=device)
    with torch.no_grad():
        for start in range(group.rank * TEST_BATCH, len(data), group.size * TEST_BATCH):
            part = slice(start, start + TEST_BATCH)
            logits = network(data.images(part).to(device))
            correct += (logits.argmax(1) == data.labels[part].to(device)).sum()
    network.train()
    return 100 * int(group.sum(correct)) / len(data)
