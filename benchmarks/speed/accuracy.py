"""Test accuracy of the straightforward loop and of `zsbench train`, seed by seed with one recipe: is it traded for speed?

`python benchmarks/speed/accuracy.py --data-dir DIR` trains a network of the small CIFAR-10 study with each seed both ways,
each with random numbers of its own, and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from train import Pictures

from robustbench_zs import train
from robustbench_zs.datasets import Dataset, LabelledImages, load_dataset
from robustbench_zs.networks import network_from_name
from robustbench_zs.networks.build import build_network
from robustbench_zs.system.workers import Job, run_jobs
from robustbench_zs.training.recipe import Recipe, recipe_for


@dataclass(frozen=True)
class Question:
    network: str
    data_dir: str | None
    examples: int
    epochs: int

    def load(self) -> Dataset:
        return load_dataset("cifar10", self.data_dir, self.examples)

    @property
    def recipe(self) -> Recipe:
        return recipe_for("cifar10").with_changes(epochs=self.epochs, precision="float32")


def plain_accuracy(question: Question, seed: int, threads: int, send: object) -> float:
    """Percent of the test images that the straightforward loop's network classifies rightly after its last epoch."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    data, recipe = question.load(), question.recipe
    assert isinstance(data.train, LabelledImages)
    network = build_network(network_from_name(question.network), 3, data.classes, *data.train.channel_statistics())
    optimizer = torch.optim.SGD(
        network.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: recipe.learning_rates(e, 1)[0] / recipe.learning_rate)
    loader = DataLoader(Pictures(data.train), recipe.batch_size, shuffle=True)
    for _ in range(recipe.epochs):
        network.train()
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
        schedule.step()
    return _accuracy(network, data)


def _accuracy(network: nn.Module, data: Dataset) -> float:
    network.eval()
    with torch.no_grad():
        right = [
            (network(data.test.images(part)).argmax(1) == data.test.labels[part]).sum()
            for part in torch.arange(len(data.test)).split(500)
        ]
    return 100 * int(sum(right)) / len(data.test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="zerosnet20-opt")
    parser.add_argument("--data-dir")
    parser.add_argument("--examples", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    question = Question(given.network, given.data_dir, given.examples, given.epochs)
    seeds = range(given.seeds)
    threads = max(1, torch.get_num_threads() // given.processes)
    start = time.perf_counter()
    jobs = [Job(plain_accuracy, (question, seed, threads)) for seed in seeds]
    plain = dict(run_jobs(jobs, given.processes))
    between = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = train(
            [question.network],
            "cifar10",
            data_dir=question.data_dir,
            train_examples=question.examples,
            recipe=question.recipe,
            seeds=seeds,
            folder=folder,
            device="cpu",
            workers=given.processes,
            say=lambda words: print(words, flush=True),
        )
    end = time.perf_counter()
    ours = [checkpoint.header.history[-1].test_accuracy or 0.0 for checkpoint in checkpoints]
    theirs = [plain[seed] for seed in seeds]
    print("\n| way | test accuracy by seed, % | mean | seconds |")
    print("|---|---|--:|--:|")
    for name, values, seconds in (
        ("straightforward loop", theirs, between - start),
        ("`zsbench train`", ours, end - between),
    ):
        by_seed = ", ".join(f"{value:.1f}" for value in values)
        print(f"| {name} | {by_seed} | {statistics.mean(values):.1f} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
