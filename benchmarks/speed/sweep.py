"""Seconds of a sweep, four ε of PGD and seven noises of one network: in one call of `evaluate`, and in a call each.

`python benchmarks/speed/sweep.py CHECKPOINT --data-dir DIR` takes both in turn, round after round, and prints medians
with the range over rounds as a Markdown table, and the accuracies under attack. Nothing is taken from a store. With
`--commands` each call is a process of its own, as when `zsbench evaluate` and `zsbench attack` are typed eleven times.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from robustbench_zs import ConstantNoise, GaussianNoise, UniformNoise, evaluate
from robustbench_zs.perturbations import Perturbation
from robustbench_zs.perturbations.make import make_attacks
from robustbench_zs.reporting.commands import command_of

NOISES: list[Perturbation] = [
    UniformNoise(-0.08, 0),
    UniformNoise(0, 0.08),
    *(GaussianNoise(delta) for delta in (0.01, 0.02, 0.04, 0.08)),
    ConstantNoise(0.3),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--data-dir")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only-together", action="store_true", help="one call and nothing else, as --commands makes it")
    parser.add_argument("--commands", action="store_true")
    parser.add_argument("--attacks", type=lambda text: text.split(","), default=["pgd", "fgsm"])
    parser.add_argument("--eps", type=lambda text: text.split(","), default=["1/255", "2/255", "4/255", "8/255"])
    parser.add_argument("--norm", choices=("linf", "l2"), default="linf")
    parser.add_argument("--attack-seed", type=int, default=1)
    given = parser.parse_args()

    found: dict[str, float] = {}  # accuracy by the label of the attack

    def seconds(perturbations: list[Perturbation]) -> float:
        start = time.perf_counter()
        frame = evaluate([given.checkpoint], perturbations, data_dir=given.data_dir, examples=given.examples, store=None)
        found.update(zip(frame["perturbation"], frame["accuracy"], strict=True))
        return time.perf_counter() - start

    def attacks(kind: str, ladder: bool = True) -> list[Perturbation]:
        return make_attacks(kind, given.eps, norm=given.norm, seed=given.attack_seed, ladder=ladder)

    def seconds_as_command(*arguments: str) -> float:
        given_here = [str(Path(given.checkpoint).resolve()), "--examples", str(given.examples)]
        if given.data_dir:
            given_here += ["--data-dir", str(Path(given.data_dir).resolve())]
        with tempfile.TemporaryDirectory() as empty:
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments, *given_here], cwd=empty, check=True, stdout=subprocess.DEVNULL)
            return time.perf_counter() - start

    if given.only_together:
        seconds([*NOISES, *attacks(given.attacks[0])])
        return
    seconds([])  # imports, and the images of the dataset
    for attack in given.attacks:
        sweep, alone = ([*NOISES, *attacks(attack, ladder)] for ladder in (True, False))
        together, apart = [], []
        for _ in range(given.rounds):
            if given.commands:
                sweep_here = ["--only-together", f"--attacks={attack}", f"--eps={','.join(given.eps)}"]
                more = [f"--norm={given.norm}", f"--attack-seed={given.attack_seed}"]
                together.append(seconds_as_command(str(Path(__file__).resolve()), *sweep_here, *more))
                requests = [str(command_of(perturbation)).split() for perturbation in alone]
                apart.append(sum(seconds_as_command("-m", "robustbench_zs.cli", *request) for request in requests))
            else:
                together.append(seconds(sweep))
                apart.append(sum(seconds([perturbation]) for perturbation in alone))
        print(f"\nseven noises, {attack.upper()} at {len(given.eps)} ε, {given.examples} images, {platform.platform()}")
        print(f"{torch.get_num_threads()} threads\n\n| way | seconds, median | range |\n|---|--:|--:|")
        for way, times in (("one call", together), ("a call each", apart)):
            print(f"| {way} | {statistics.median(times):.1f} | {min(times):.1f} to {max(times):.1f} |")
        for way, perturbations in (("one call", sweep), ("a call each", alone)) if not given.commands else ():
            standing = [f"{found[p.label]:.1f}" for p in perturbations if p.attacks]
            print(f"\n{way}: {', '.join(standing)}% stand at {', '.join(given.eps)}", end="")
        print(f"\n\none call takes {statistics.median(together) / statistics.median(apart):.0%}")


if __name__ == "__main__":
    main()
