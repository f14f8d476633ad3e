"""Images per second of training: the straightforward loop, ours with one network, ours with several at once.

`python benchmarks/speed/train.py --data-dir DIR` takes the ways in turn, round after round, in one run, and prints medians
with the range over rounds as a Markdown table, besides the floor: the time that the network's convolutions need at the
matrix rate, and their tensors at the bandwidth, that are measured in the same run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms

from robustbench_zs.datasets import Dataset, LabelledImages, load_dataset
from robustbench_zs.networks import network_from_name
from robustbench_zs.networks.build import build_network
from robustbench_zs.system.environment import environment
from robustbench_zs.system.memory import keep_freed_memory
from robustbench_zs.training.distributed import ALONE
from robustbench_zs.training.loop import Training
from robustbench_zs.training.recipe import Recipe, recipe_for
from robustbench_zs.training.step import Step
from robustbench_zs.training.together import Stack, side_by_side

Steps = Iterator[int]
"""Takes a training step each time and gives its number of images."""

WARM_UP = 3


@dataclass(frozen=True)
class Setting:
    """What all ways train."""

    network: str
    dataset: str
    data_dir: str | None
    batch_size: int
    precision: str
    device: str
    compiled: bool
    examples: int | None
    places: int = 1

    def load(self) -> Dataset:
        return load_dataset(self.dataset, self.data_dir, self.examples)

    @property
    def recipe(self) -> Recipe:
        return replace(
            recipe_for(self.dataset),
            batch_size=self.batch_size,
            precision=self.precision,  # type: ignore[arg-type]
            learning_rate=0.01,
            augmentation="crop-flip",
        )

    def build(self, data: Dataset) -> nn.Module:
        torch.manual_seed(0)
        shape, statistics_ = data.train.shape, data.train.channel_statistics()
        return build_network(network_from_name(self.network), shape[0], data.classes, *statistics_).to(self.device)


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """The images one by one as PIL pictures through torchvision's transforms, as the paper's published code has them."""

    def __init__(self, data: LabelledImages) -> None:
        self.pictures = [transforms.functional.to_pil_image(p) for p in data.pixels]
        self.labels = data.labels.tolist()
        side = data.shape[1]
        self.transform = transforms.Compose(
            [transforms.RandomCrop(side, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[index]), self.labels[index]


def plain_loop(setting: Setting, threads: int) -> Steps:
    """(a) DataLoader with worker processes, float32 in NCHW, eager."""
    torch.set_num_threads(threads)
    data = setting.load()
    assert isinstance(data.train, LabelledImages)
    network = setting.build(data)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    loader = DataLoader(
        Pictures(data.train), setting.batch_size, shuffle=True, drop_last=True, num_workers=2, persistent_workers=True
    )
    while True:
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images.to(setting.device)), labels.to(setting.device))
            loss.backward()
            optimizer.step()
            yield len(labels)


def ours(setting: Setting, threads: int) -> Steps:
    """(b), (c) the steps of `zsbench train`: one network, or a stack of several."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    data = setting.load()
    places = setting.places
    members = []
    for seed in range(places):
        network = setting.build(data).to(setting.device, memory_format=torch.channels_last)
        members.append(Training(network, data.train, setting.recipe, seed))
    stack = Stack(members, places) if places > 1 else None
    first = members[0]
    step = Step(first.network, first.optimizer, setting.recipe, ALONE, compiled=setting.compiled)
    epoch = 0
    while True:
        orders = [[b for b in m.order().split(setting.batch_size) if len(b) == setting.batch_size] for m in members]
        feeds = [m.feed.shares(epoch, order, 1, range(1)) for m, order in zip(members, orders, strict=True)]
        for shares in zip(*feeds, strict=True):
            batches = [share[0] for share in shares]
            if stack is None:
                step(batches, setting.batch_size)
            else:
                stack.step(*side_by_side(batches))
            yield places * setting.batch_size
        epoch += 1


def synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


class Worker:
    """Steps in a process of its own, so that the ways do not share threads, caches or compiled code."""

    def __init__(self, way: Callable[[Setting, int], Steps], setting: Setting, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.here, there = context.Pipe()
        self.process = context.Process(target=_serve, args=(there, way, setting, threads))
        self.process.start()
        self.ready: float = self.here.recv()

    def start(self, seconds: float) -> None:
        self.here.send(seconds)

    def rate(self) -> float:
        """Images per second of the round that was started."""
        rate: float = self.here.recv()
        return rate

    def end(self) -> None:
        self.here.send(None)
        self.process.join()


def _serve(pipe: Any, way: Callable[[Setting, int], Steps], setting: Setting, threads: int) -> None:
    begun = time.perf_counter()
    steps = way(setting, threads)
    for _ in range(WARM_UP):
        next(steps)
    pipe.send(time.perf_counter() - begun)
    while (seconds := pipe.recv()) is not None:
        next(steps)  # worker processes of a loader wake up
        synchronize(setting.device)
        start, images = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            images += next(steps)
        synchronize(setting.device)
        pipe.send(images / (time.perf_counter() - start))


def floor(setting: Setting) -> tuple[float, str]:
    """Images per second if convolutions cost nothing but their multiplications, or their tensors' way through memory."""
    data = setting.load()
    network = setting.build(data)
    images = data.train.images(slice(0, setting.batch_size)).to(setting.device)
    labels = data.train.labels[: setting.batch_size].to(setting.device)
    half = setting.precision == "bfloat16"
    moved = 0

    def count(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal moved
        size = 2 if half else 4
        elements = inputs[0].numel() + output.numel() + sum(p.numel() for p in module.parameters())
        moved += 3 * size * elements  # forward, gradient of the input, gradient of the weights

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(network(images), labels).backward()
    for hook in hooks:
        hook.remove()
    operations = counter.get_total_flops()
    kind = torch.bfloat16 if half else torch.float32
    side = 8192 if setting.device.startswith("cuda") else 2048
    a = torch.randn(side, side, device=setting.device, dtype=kind)
    flops = 2 * side**3 / _best(lambda: a @ a, setting.device)
    buffer = torch.empty(2**28, dtype=torch.uint8, device=setting.device)
    bandwidth = 2 * len(buffer) / _best(lambda: buffer.clone(), setting.device)
    seconds = max(operations / flops, moved / bandwidth)
    n = setting.batch_size
    words = (
        f"{operations / n / 1e9:.2f} GFLOP and {moved / n / 1e6:.1f} MB per image at {flops / 1e9:.0f} GFLOP/s and "
        f"{bandwidth / 1e9:.0f} GB/s"
    )
    return n / seconds, words


def _best(function: Callable[[], object], device: str) -> float:
    times = []
    for _ in range(7):
        synchronize(device)
        start = time.perf_counter()
        function()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="zerosnet20-opt")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--cores", type=int, default=torch.get_num_threads())
    parser.add_argument("--processes", type=int, default=torch.get_num_threads())
    parser.add_argument("--places", type=int, default=1, help="networks in a stack")
    parser.add_argument("--examples", type=int, help="first so many training images")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--precisions", nargs="+", choices=("float32", "bfloat16"), default=["float32"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    given = parser.parse_args()
    base = Setting(
        given.network, given.dataset, given.data_dir, given.batch_size, "float32", given.device, False, given.examples
    )
    ways: list[tuple[str, Callable[[Setting, int], Steps], Setting, int, int]] = [
        ("(a) straightforward loop, float32", plain_loop, base, 1, given.cores)
    ]
    for precision in given.precisions:
        m, each = given.processes, max(1, given.cores // given.processes)
        for compiled in (False, True) if given.compile else (False,):
            setting = replace(base, precision=precision, compiled=compiled)
            name = f"{precision}{', compiled' if compiled else ''}"
            ways.append((f"(b) one network, {name}", ours, setting, 1, given.cores))
            ways.append((f"(c) {m} networks in {m} processes, {name}", ours, setting, m, each))
        if given.places > 1:
            setting = replace(base, precision=precision, places=given.places)
            name = f"(c) {m * given.places} networks in {m} processes, stacks of {given.places}, {precision}"
            ways.append((name, ours, setting, m, each))
    rates: dict[str, list[float]] = {name: [] for name, *_ in ways}
    first: dict[str, float] = {}
    for _ in range(given.rounds):
        for name, way, setting, processes, threads in ways:
            workers = [Worker(way, setting, threads)]
            workers += [Worker(way, setting, threads) for _ in range(processes - 1)]
            first.setdefault(name, workers[0].ready)
            for worker in workers:
                worker.start(given.seconds)
            rates[name].append(sum(worker.rate() for worker in workers))
            for worker in workers:
                worker.end()
    plain = statistics.median(rates[ways[0][0]])
    floors = {precision: floor(replace(base, precision=precision)) for precision in given.precisions}
    versions = environment()
    print(f"{given.network}, {given.dataset}, batch {given.batch_size}, {given.device}; {platform.platform()},")
    print(f"{', '.join(f'{k} {v}' for k, v in versions.items() if v is not None)}.\n")
    print("| way | images/s, median | range | times (a) | of the floor | start, s |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, _, setting, _, _ in ways:
        median, low, high = statistics.median(rates[name]), min(rates[name]), max(rates[name])
        share = median / floors[setting.precision][0]
        print(
            f"| {name} | {median:.0f} | {low:.0f} to {high:.0f} | {median / plain:.2f} | {share:.0%} | {first[name]:.0f} |"
        )
    for precision, (rate, words) in floors.items():
        print(f"\nFloor in {precision}: {rate:.0f} images/s ({words}).", end="")
    print()


if __name__ == "__main__":
    main()
