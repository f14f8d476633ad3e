"""How the recipe `cifar10-short` was chosen: `zerosnet20-opt` on 45,000 training images, judged by the other 5,000.

The test set is not touched, and the seed is none of the zoo's. Usage, each candidate in a process of its own:

    python benchmarks/zoo/choose_recipe.py --data-dir DIR --learning-rate 0.1 --epochs 16
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import cast

import torch

from robustbench_zs.datasets import LabelledImages, load_dataset
from robustbench_zs.networks import network_from_name
from robustbench_zs.networks.build import build_network
from robustbench_zs.system.memory import keep_freed_memory
from robustbench_zs.training.loop import Epoch, Training, fit
from robustbench_zs.training.recipe import Recipe
from robustbench_zs.training.streams import stream

HELD_OUT = 5000
SEED = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--network", default="zerosnet20-opt")
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--warmup-epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(given.threads)
    recipe = Recipe(
        epochs=given.epochs,
        learning_rate=given.learning_rate,
        augmentation="crop-flip",
        schedule="one-cycle",
        warmup_epochs=given.warmup_epochs,
        precision="bfloat16",
    )
    data = cast(LabelledImages, load_dataset("cifar10", given.data_dir).train)
    kept = data.first(len(data) - HELD_OUT)
    held_out = LabelledImages(data.pixels[-HELD_OUT:], data.labels[-HELD_OUT:], data.classes, data.levels)
    torch.default_generator.set_state(stream(SEED, "weights").get_state())
    spec = network_from_name(given.network)
    network = build_network(spec, data.shape[0], data.classes, *kept.channel_statistics())
    start = time.perf_counter()

    def show(epoch: Epoch) -> None:
        print(
            f"{spec.name} rate {given.learning_rate:g} epoch {epoch.epoch} loss {epoch.loss:.4f} train "
            f"{epoch.train_accuracy:.2f} held out {epoch.test_accuracy:.2f} after {time.perf_counter() - start:.0f} s",
            flush=True,
        )

    network = network.to(memory_format=torch.channels_last)
    fit(Training(network, kept, recipe, SEED, show), held_out, compiled=True)


if __name__ == "__main__":
    main()
