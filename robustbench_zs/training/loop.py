"""The training loop: one network, images in memory, no framework in between."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, nn

from robustbench_zs.datasets import LabelledImages
from robustbench_zs.schemes import TrainableScheme
from robustbench_zs.training.augmentation import crop_and_flip
from robustbench_zs.training.recipe import Recipe

TEST_BATCH = 512


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave: mean loss, running training accuracy and test accuracy in percent, seconds it took.

    `block_parameters` are the trainable parameters of the scheme at its end, None without any.
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


OnEpoch = Callable[[Epoch], None]


def stream(seed: int, name: str) -> Generator:
    """A CPU generator of its own for each use of randomness, so that one more draw here moves nothing there."""
    words = np.random.SeedSequence([seed, *name.encode()]).generate_state(2, np.uint32)
    return Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


def fit(
    network: nn.Module,
    train: LabelledImages,
    test: LabelledImages,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    on_epoch: OnEpoch = lambda epoch: None,
) -> list[Epoch]:
    """Train `network` in place on `device` and return the history; it is left with the weights the recipe asks for.

    A loss that is not finite ends the training after that epoch: for networks that are not zero-stable this is a result.
    """
    network.to(device).train()
    # One fused update instead of hundreds of tiny ones: a 56-layer network has 230 parameter tensors.
    optimizer = torch.optim.SGD(
        parameter_groups(network, recipe.weight_decay),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        fused=device.type in ("cpu", "cuda"),
    )
    order, augment = stream(seed, "order"), stream(seed, "augmentation")
    pixels, labels = train.pixels.to(device), train.labels.to(device)
    history: list[Epoch] = []
    best_accuracy, best_weights = -1.0, {}
    for number in range(recipe.epochs):
        start = time.perf_counter()
        rate = recipe.learning_rate_at(number)
        for group in optimizer.param_groups:
            group["lr"] = rate
        # Sums stay on the device: reading them every step would make a GPU wait for the CPU.
        loss_sum = torch.zeros((), device=device)
        correct = torch.zeros((), device=device)
        for batch in torch.randperm(len(train), generator=order).to(device).split(recipe.batch_size):
            images = pixels[batch].to(torch.float32) / train.levels
            if recipe.augmentation == "crop-flip":
                images = crop_and_flip(images, augment)
            optimizer.zero_grad(set_to_none=True)
            logits = network(images)
            loss = F.cross_entropy(logits, labels[batch])
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(batch)
            correct += (logits.detach().argmax(1) == labels[batch]).sum()
        epoch = Epoch(
            epoch=number + 1,
            learning_rate=rate,
            loss=loss_sum.item() / len(train),
            train_accuracy=100 * correct.item() / len(train),
            test_accuracy=_accuracy(network, test, device),
            seconds=time.perf_counter() - start,
            block_parameters=_block_parameters(network),
        )
        history.append(epoch)
        on_epoch(epoch)
        if epoch.diverged:
            break
        if recipe.weights == "best" and epoch.test_accuracy > best_accuracy:
            best_accuracy = epoch.test_accuracy
            best_weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    if best_weights:
        network.load_state_dict(best_weights)
    network.eval()
    return history


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


def _accuracy(network: nn.Module, data: LabelledImages, device: torch.device) -> float:
    """Accuracy in percent as the training goes; what is reported is measured by `evaluation`."""
    network.eval()
    correct = 0
    with torch.no_grad():
        for start in range(0, len(data), TEST_BATCH):
            part = slice(start, start + TEST_BATCH)
            logits = network(data.images(part).to(device))
            correct += int((logits.argmax(1).cpu() == data.labels[part]).sum())
    network.train()
    return 100 * correct / len(data)
