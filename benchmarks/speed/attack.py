"""Seconds of PGD on the same network, images, ε and steps: ours with directions in bfloat16 and in float32, torchattacks and
foolbox, with robust accuracy and memory beside them.

`python benchmarks/speed/attack.py CHECKPOINT --data-dir DIR` takes the engines in turn, round after round, in one run, and
prints medians with the range over rounds as a Markdown table: seconds on the clock and of the processor, which other
processes lengthen less. Each engine is called as its documentation has it; each figure holds the clean pass where there is
one, and the classification of what came out. Memory is the peak of the engine's process over all its rounds.

The ε are given, or those that leave 2, 29 and 39% of the first images standing. No round begins that would not end within
`--minutes`, as far as the one before tells.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from shares import eps_that_leave
from torch import Tensor, nn

from robustbench_zs.datasets import Split, load_dataset
from robustbench_zs.evaluation import measure
from robustbench_zs.perturbations import PGD, parse_number
from robustbench_zs.perturbations.native import Directions
from robustbench_zs.perturbations.numbers import format_number
from robustbench_zs.system.memory import keep_freed_memory
from robustbench_zs.training import read_checkpoint

CPU = torch.device("cpu")
LIBRARY_BATCH = 250
SEARCHED = 300
"""Images on which ε are searched."""
Standing = Callable[[nn.Module, Split, float, int], int]


def ours(directions: Directions, network: nn.Module, data: Split, eps: float, steps: int) -> int:
    attack = PGD(eps, steps=steps, directions=directions)
    clean = measure(network, data, None, device=CPU, batch_size=256)
    return int(measure(network, data, attack, device=CPU, batch_size=256, clean=clean).correct.sum())


def by_torchattacks(network: nn.Module, data: Split, eps: float, steps: int) -> int:
    import torchattacks

    attack = torchattacks.PGD(network, eps=eps, alpha=eps / 4, steps=steps)
    return _standing(network, data, attack)


def by_foolbox(network: nn.Module, data: Split, eps: float, steps: int) -> int:
    import foolbox

    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(steps=steps, rel_stepsize=0.25)
    return _standing(network, data, lambda images, labels: attack.run(model, images, labels, epsilon=eps))


def _standing(network: nn.Module, data: Split, attack: Callable[[Tensor, Tensor], Tensor]) -> int:
    right = 0
    for part in torch.arange(len(data)).split(LIBRARY_BATCH):
        labels = data.labels[part]
        examples = attack(data.images(part), labels)
        with torch.no_grad():
            right += int((network(examples).argmax(1) == labels).sum())
    return right


ENGINES: dict[str, Standing] = {
    "ours, bfloat16": partial(ours, "bfloat16"),
    "ours, float32": partial(ours, "float32"),
    "torchattacks": by_torchattacks,
    "foolbox": by_foolbox,
}


def _serve(pipe: Any, engine: str, path: str, data_dir: str | None, examples: int, steps: int) -> None:
    """In a process of its own: neither memory that one engine keeps nor its threads help or hinder another."""
    checkpoint = read_checkpoint(path)
    data = load_dataset(checkpoint.header.dataset.name, data_dir, None, examples).test
    network = checkpoint.network().eval()
    if engine.startswith("ours"):  # as `zsbench attack` does it
        keep_freed_memory()
        network = network.to(memory_format=torch.channels_last)
    while (eps := pipe.recv()) is not None:
        start, busy = time.perf_counter(), time.process_time()
        standing = ENGINES[engine](network, data, eps, steps)
        took = time.perf_counter() - start, time.process_time() - busy
        pipe.send((took, standing, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _found(given: argparse.Namespace) -> list[float]:
    checkpoint = read_checkpoint(given.checkpoint)
    data = load_dataset(checkpoint.header.dataset.name, given.data_dir, None, SEARCHED).test
    network = checkpoint.network().eval().to(memory_format=torch.channels_last)
    return eps_that_leave(network, data, given.standing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--data-dir")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--eps", nargs="+", help="instead of --standing")
    parser.add_argument("--standing", nargs="+", type=float, default=[2, 29, 39], help="percentages of all images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10)
    given = parser.parse_args()
    begun = time.perf_counter()
    budgets = [parse_number(eps, "eps", 0, 1) for eps in given.eps] if given.eps else _found(given)
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for engine in ENGINES:
        pipes[engine], there = context.Pipe()
        job = (there, engine, given.checkpoint, given.data_dir, given.examples, given.steps)
        processes.append(context.Process(target=_serve, args=job))
        processes[-1].start()
    clock: dict[tuple[float, str], list[float]] = {(eps, engine): [] for eps in budgets for engine in ENGINES}
    processor: dict[tuple[float, str], list[float]] = {case: [] for case in clock}
    standing: dict[tuple[float, str], int] = {}
    memory: dict[str, float] = {}
    rounds, left, took_all = 0, 0.0, 0.0
    while rounds < given.rounds and (rounds == 0 or left > took_all):
        start = time.perf_counter()
        for case in clock:
            pipes[case[1]].send(case[0])
            took, standing[case], memory[case[1]] = pipes[case[1]].recv()
            for times, seconds in zip((clock, processor), took, strict=True):
                times[case].append(seconds)
        rounds, took_all = rounds + 1, time.perf_counter() - start
        left = 60 * given.minutes - (time.perf_counter() - begun)
    for engine in ENGINES:
        pipes[engine].send(None)
    for process in processes:
        process.join()
    where = f"{platform.platform()}, {torch.get_num_threads()} threads"
    print(f"PGD-{given.steps}, {given.checkpoint}, {given.examples} images, {rounds} rounds, {where}\n")
    print("| ε | engine | seconds, median | range | of the processor | range | bfloat16 faster | robust accuracy, % | MiB |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    for (eps, engine), stand in standing.items():
        times = clock[eps, engine], processor[eps, engine]
        ratio = statistics.median(times[1]) / statistics.median(processor[eps, next(iter(ENGINES))])
        shown = " | ".join(f"{statistics.median(t):.1f} | {min(t):.1f} to {max(t):.1f}" for t in times)
        share = 100 * stand / given.examples
        print(f"| {format_number(eps)} | {engine} | {shown} | {ratio:.1f} | {share:.1f} | {memory[engine]:.0f} |")


if __name__ == "__main__":
    main()
