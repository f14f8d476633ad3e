"""Processor seconds of AutoAttack's standard version: our own engine and torchattacks on the same network, images and ε.

`python benchmarks/speed/auto_attack.py CHECKPOINT --data-dir DIR` deals the images at random into parts and takes both
engines on one part after the other, in one run, until a further part would not end within `--minutes`; then it prints a
Markdown table, and which share of the images it holds. Each engine has a process of its own and one thread. Images that are
wrong when clean are attacked by neither, and no PGD goes first. The ε is given, or one that leaves a quarter of the images
standing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import time
from typing import Any

import torch
from shares import eps_that_leave

from robustbench_zs.datasets import LabelledImages, load_dataset
from robustbench_zs.evaluation import measure
from robustbench_zs.perturbations import AutoAttack, parse_number
from robustbench_zs.perturbations.numbers import format_number
from robustbench_zs.system.memory import keep_freed_memory
from robustbench_zs.training import Checkpoint, read_checkpoint

CPU = torch.device("cpu")
ENGINES = ("native", "torchattacks")
BATCH = 256


def read(given: argparse.Namespace) -> tuple[Checkpoint, LabelledImages]:
    checkpoint = read_checkpoint(given.checkpoint)
    data = load_dataset(checkpoint.header.dataset.name, given.data_dir, None, given.examples).test
    assert isinstance(data, LabelledImages)
    return checkpoint, data


def _serve(pipe: Any, engine: str, given: argparse.Namespace) -> None:
    """In a process of its own: memory that one engine keeps does not help the other."""
    torch.set_num_threads(1)
    checkpoint, data = read(given)
    network = checkpoint.network().eval()
    if engine == "native":  # as `zsbench attack` does it
        keep_freed_memory()
        network = network.to(memory_format=torch.channels_last)
    while (job := pipe.recv()) is not None:
        eps, places = job
        part = LabelledImages(data.pixels[places], data.labels[places], data.classes, data.levels)
        start = time.process_time()
        clean = measure(network, part, None, device=CPU, batch_size=BATCH)
        found = measure(network, part, AutoAttack(eps, engine, given.norm), device=CPU, batch_size=BATCH, clean=clean)
        pipe.send((time.process_time() - start, found.correct.tolist()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--data-dir")
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--eps", help="instead of --standing")
    parser.add_argument("--standing", type=float, default=25, help="percentage of all images")
    parser.add_argument("--norm", default="linf")
    parser.add_argument("--parts", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=20)
    given = parser.parse_args()
    begun = time.perf_counter()
    checkpoint, data = read(given)
    if given.eps:
        eps = parse_number(given.eps, "eps", 0, 1000)
    else:
        network = checkpoint.network().eval().to(memory_format=torch.channels_last)
        (eps,) = eps_that_leave(network, data, [given.standing], given.norm)
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for engine in ENGINES:
        pipes[engine], there = context.Pipe()
        processes.append(context.Process(target=_serve, args=(there, engine, given)))
        processes[-1].start()
    seconds: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    standing: dict[str, list[bool]] = {engine: [] for engine in ENGINES}
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    longest = 0.0
    for part in order.chunk(given.parts):
        start = time.perf_counter()
        if longest and start + longest > begun + 60 * given.minutes:
            break
        for engine in ENGINES:
            pipes[engine].send((eps, part))
            took, correct = pipes[engine].recv()
            seconds[engine].append(took)
            standing[engine] += correct
        longest = max(longest, time.perf_counter() - start)
    for engine in ENGINES:
        pipes[engine].send(None)
    for process in processes:
        process.join()
    seen = len(standing["native"])
    which = f"{seen} images" if seen == len(data) else f"{seen} of {len(data)} images, drawn at random"
    what = f"AutoAttack, {given.norm}, ε = {format_number(eps)}, {given.checkpoint}, {which}"
    print(f"{what}, {platform.platform()}, one thread\n")
    print("| engine | processor seconds | by part | ours faster | standing |")
    print("|---|--:|--:|--:|--:|")
    for engine, times in seconds.items():
        faster, by_part = sum(times) / sum(seconds["native"]), ", ".join(f"{t:.1f}" for t in times)
        print(f"| {engine} | {sum(times):.1f} | {by_part} | {faster:.2f} | {sum(standing[engine])} |")
    differ = sum(a != b for a, b in zip(*standing.values(), strict=True))
    print(f"\nThe engines differ on {differ} of {seen} images.")


if __name__ == "__main__":
    main()
