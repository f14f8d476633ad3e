"""Measure how fast one core trains and evaluates: `python benchmarks/cluster/measure_rates.py DATA_DIR`; writes rates.json.

For each shape of network a few steps of a training and some evaluations run for real, in turns, on one thread; the rate is
the median over the rounds of multiply-adds per second of processor time, so that other processes do not count.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import torch

from robustbench_zs import GaussianNoise, network_from_name
from robustbench_zs.evaluation.outcomes import measure
from robustbench_zs.perturbations import Perturbation
from robustbench_zs.studies.cost import GRADIENT, multiply_adds
from robustbench_zs.system.environment import environment
from robustbench_zs.training.distributed import ALONE
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.loop import Training
from robustbench_zs.training.recipe import recipe_for
from robustbench_zs.training.step import Step
from robustbench_zs.training.task import TrainingTask

SHAPES = [
    ("zerosnet8-opt", "digits"),
    ("zerosnet20-opt", "mnist"),
    ("zerosnet20-opt", "cifar10"),
    ("zerosnet56-opt", "cifar10"),
]
CPU = torch.device("cpu")
ROUNDS, STEPS, IMAGES = 3, 2, 128


def main(data_dir: str) -> None:
    """Measure all shapes, round by round, and write the medians."""
    torch.set_num_threads(1)
    found: dict[str, dict[str, list[float]]] = {f"{n} on {d}": {} for n, d in SHAPES}
    for _ in range(ROUNDS):
        for network, dataset in SHAPES:
            for what, rate in _rates(network, dataset, data_dir).items():
                found[f"{network} on {dataset}"].setdefault(what, []).append(rate)
        print(json.dumps(found), file=sys.stderr, flush=True)
    medians = {shape: {what: statistics.median(r) for what, r in rates.items()} for shape, rates in found.items()}
    spread = max((max(r) - min(r)) / statistics.median(r) for rates in found.values() for r in rates.values())
    made = {"rates": medians, "largest_spread": spread, "rounds": ROUNDS, "processor": environment()["processor"]}
    (Path(__file__).parent / "rates.json").write_text(json.dumps(made, indent=1) + "\n")
    print(json.dumps(made, indent=1))


def _rates(network: str, dataset: str, data_dir: str) -> dict[str, float]:
    recipe = recipe_for(dataset).for_device("cpu")
    task = TrainingTask(network_from_name(network), dataset, data_dir, 2 * IMAGES, IMAGES, recipe, 0, "unused")
    module = task.network_to_train(Execution("cpu", 1))
    loaded = task.load_dataset()
    train = loaded.train
    one = multiply_adds(task.network, train.shape, loaded.classes)
    training = Training(module, train, recipe, 0)
    step = Step(module, training.optimizer, recipe, ALONE)
    batch = torch.arange(min(recipe.batch_size, len(train)))
    shares = list(next(training.feed.shares(0, [batch], 1, range(1))))
    step(shares, len(batch))
    start = time.process_time()
    for _ in range(STEPS):
        step(shares, len(batch))
    rates = {"training": GRADIENT * one * STEPS * len(batch) / (time.process_time() - start)}
    module.eval()
    data = loaded.test
    kinds: dict[str, Perturbation | None] = {"clean": None, "noise": GaussianNoise(0.02)}
    for name, perturbation in kinds.items():
        before = measure(module, data, None, device=CPU, batch_size=256) if perturbation else None
        start = time.process_time()
        measure(module, data, perturbation, device=CPU, batch_size=256, clean=before)
        rates[name] = one * len(data) / (time.process_time() - start)
    return rates


if __name__ == "__main__":
    main(sys.argv[1])
