"""Measures how long networks take for training and inference, in turns on one machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from robustbench_zs.networks import NetworkSpec
from robustbench_zs.networks.build import build_network
from robustbench_zs.system.memory import enough_memory_or
from robustbench_zs.system.threads import torch_threads
from robustbench_zs.training.distributed import ALONE
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.recipe import Recipe
from robustbench_zs.training.step import Step, sgd

if TYPE_CHECKING:
    import pandas as pd

PHASES = ("training", "test")


def measure_runtime(
    networks: Sequence[NetworkSpec],
    batch_sizes: Sequence[int],
    execution: Execution,
    *,
    image_size: int = 32,
    images: int = 10_000,
    repeats: int = 5,
) -> pd.DataFrame:
    """Seconds per image, for each network, phase and batch size, `repeats` times; the networks take turns.

    A pass is as many whole batches as `images` hold, at least one, of random images that lie on the device, in float32.
    Training is the step of `training.step` without loading or augmenting images; test is inference in evaluation mode.

    Returns:
        One row per pass: `network`, `phase`, `batch_size`, `repeat`, `seconds_per_image`.

    Raises:
        UnfinishedError: out of memory.
    """
    import pandas as pd

    device = torch.device(execution.device)
    rows = []
    sentence = f"a batch of {max(batch_sizes)} images of {image_size}×{image_size} does not fit in memory"
    with torch_threads(execution.threads), enough_memory_or(sentence):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            modules = [build_network(spec, 3, 10, (0.5,) * 3, (0.25,) * 3) for spec in networks]
            data = torch.rand(max(batch_sizes), 3, image_size, image_size).to(device, memory_format=torch.channels_last)
            labels = torch.randint(0, 10, (max(batch_sizes),)).to(device)
        for module in modules:
            module.to(device).to(memory_format=getattr(torch, execution.layout))
        for size in batch_sizes:
            for phase in PHASES:
                passes = [_pass(module, phase, data[:size], labels[:size], max(1, images // size)) for module in modules]
                for one_pass in passes:
                    one_pass(1)  # the first step allocates memory and chooses algorithms
                for repeat in range(repeats):
                    for spec, one_pass in zip(networks, passes, strict=True):
                        seconds = one_pass(None)
                        rows.append((spec.name, phase, size, repeat, seconds / (max(1, images // size) * size)))
    return pd.DataFrame(rows, columns=["network", "phase", "batch_size", "repeat", "seconds_per_image"])


def _pass(
    network: nn.Module, phase: str, images: torch.Tensor, labels: torch.Tensor, steps: int
) -> Callable[[int | None], float]:
    """A function that runs a number of steps (all for None) and returns how many seconds they took."""
    recipe = Recipe(epochs=1, batch_size=len(images), learning_rate=1e-6)  # a rate at which nothing diverges
    step = Step(network, sgd(network, recipe), recipe, ALONE)

    def finish() -> float:
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)
        return time.perf_counter()

    def run(limit: int | None) -> float:
        network.train(phase == "training")
        start = finish()
        for _ in range(limit or steps):
            if phase == "training":
                step([(images, labels)], len(images))
            else:
                with torch.no_grad():
                    network(images)
        return finish() - start

    return run
