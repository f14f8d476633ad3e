"""Processor seconds of AutoAttack's standard version: our own engine and torchattacks on the same network, images and ε.

`python benchmarks/speed/auto_attack.py CHECKPOINT --data-dir DIR` takes the engines in turn, round after round, in one run,
and prints medians with the range over rounds as a Markdown table. Each engine has a process of its own and one thread.
Images that are wrong when clean are attacked by neither, and no PGD goes first.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import statistics
import time
from typing import Any

import torch

from robustbench_zs.datasets import load_dataset
from robustbench_zs.evaluation import measure
from robustbench_zs.perturbations import AutoAttack, parse_number
from robustbench_zs.system.memory import keep_freed_memory
from robustbench_zs.training import read_checkpoint

CPU = torch.device("cpu")
ENGINES = ("native", "torchattacks")
BATCH = 256


def _serve(pipe: Any, engine: str, path: str, data_dir: str | None, examples: int, norm: str) -> None:
    """In a process of its own: memory that one engine keeps does not help the other."""
    torch.set_num_threads(1)
    checkpoint = read_checkpoint(path)
    data = load_dataset(checkpoint.header.dataset.name, data_dir, None, examples).test
    network = checkpoint.network().eval()
    if engine == "native":  # as `zsbench attack` does it
        keep_freed_memory()
        network = network.to(memory_format=torch.channels_last)
    while (eps := pipe.recv()) is not None:
        start = time.process_time()
        clean = measure(network, data, None, device=CPU, batch_size=BATCH)
        attack = AutoAttack(eps, engine, norm)
        found = measure(network, data, attack, device=CPU, batch_size=BATCH, clean=clean)
        pipe.send((time.process_time() - start, found.correct.tolist()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--data-dir")
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--eps", default="2/255")
    parser.add_argument("--norm", default="linf")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for engine in ENGINES:
        pipes[engine], there = context.Pipe()
        job = (there, engine, given.checkpoint, given.data_dir, given.examples, given.norm)
        processes.append(context.Process(target=_serve, args=job))
        processes[-1].start()
    seconds: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    standing: dict[str, list[bool]] = {}
    for _ in range(given.rounds):
        for engine in ENGINES:
            pipes[engine].send(parse_number(given.eps, "eps", 0, 1000))
            took, standing[engine] = pipes[engine].recv()
            seconds[engine].append(took)
    for engine in ENGINES:
        pipes[engine].send(None)
    for process in processes:
        process.join()
    print(f"AutoAttack, {given.norm}, ε = {given.eps}, {given.examples} images, {platform.platform()}, one thread\n")
    print("| engine | processor seconds, median | range | ours faster | standing |")
    print("|---|--:|--:|--:|--:|")
    for engine, times in seconds.items():
        faster = statistics.median(times) / statistics.median(seconds["native"])
        span = f"{min(times):.1f} to {max(times):.1f}"
        print(f"| {engine} | {statistics.median(times):.1f} | {span} | {faster:.2f} | {sum(standing[engine])} |")
    differ = sum(a != b for a, b in zip(*standing.values(), strict=True))
    print(f"\nThe engines differ on {differ} of {given.examples} images.")


if __name__ == "__main__":
    main()
