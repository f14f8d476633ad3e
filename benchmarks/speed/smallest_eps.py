"""How small the distances of `zsbench curve` are, beside foolbox's DeepFool, FMN and DDN and torchattacks' FAB.

`python benchmarks/speed/smallest_eps.py CHECKPOINT --data-dir DIR` prints a Markdown table for each norm: the median
distance over the images that are right when clean, and for each of these images passes forwards and backwards and processor
seconds. Below it stands how ours compare with the smallest of the others, image by image.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import foolbox
import numpy as np
import torch
import torchattacks
from shares import FARTHEST
from torch import Tensor, nn

from robustbench_zs.datasets import Split, load_dataset
from robustbench_zs.evaluation import measure
from robustbench_zs.evaluation.outcomes import Outcomes
from robustbench_zs.evaluation.questions.smallest_eps import DEFAULT_STEPS, Distances, EpsSearch, smallest_eps
from robustbench_zs.perturbations.native import NORMS
from robustbench_zs.training import read_checkpoint

CPU = torch.device("cpu")
LIBRARY_BATCH = 100
Attack = Callable[[Tensor, Tensor], Tensor]


class Counter:
    """Images that a network sees, forwards and backwards."""

    def __init__(self, network: nn.Module) -> None:
        self.forwards = self.backwards = 0
        network.register_forward_hook(self._seen)

    def _seen(self, _: nn.Module, given: tuple[Tensor], logits: Tensor) -> None:
        self.forwards += len(logits)
        if logits.requires_grad:
            logits.register_hook(self._went_back)

    def _went_back(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)


def attacks_of(network: nn.Module, norm: str, classes: int, fab_steps: int) -> dict[str, Attack]:
    model, there = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu"), foolbox.attacks
    made: dict[str, Any] = (
        {"foolbox DeepFool": there.LinfDeepFoolAttack(), "foolbox FMN": there.LInfFMNAttack()}
        if norm == "linf"
        else {
            "foolbox DeepFool": there.L2DeepFoolAttack(),
            "foolbox FMN": there.L2FMNAttack(),
            "foolbox DDN": there.DDNAttack(),
        }
    )
    name = {"linf": "Linf", "l2": "L2"}[norm]
    fab = torchattacks.FAB(network, norm=name, eps=FARTHEST[norm], steps=fab_steps, n_classes=classes)
    by_foolbox = {key: lambda x, y, attack=attack: attack(model, x, y, epsilons=None)[0] for key, attack in made.items()}
    return {**by_foolbox, f"torchattacks FAB, {fab_steps} steps": fab}


def by_library(network: nn.Module, data: Split, right: Tensor, attack: Attack, norm: str) -> Distances:
    """Distances of examples that fool, clipped to [0, 1]; infinite elsewhere."""
    found = []
    for part in right.split(LIBRARY_BATCH):
        x, y = data.images(part), data.labels[part]
        examples = attack(x, y).detach().clamp(0, 1)
        with torch.no_grad():
            fooled = network(examples).argmax(1) != y
        found.append(torch.where(fooled, NORMS[norm].distance(examples.double(), x.double()), torch.inf))
    return torch.cat(found).numpy()


def compare(network: nn.Module, data: Split, clean: Outcomes, norm: str, steps: int, fab_steps: int, eps: float) -> None:
    right = torch.from_numpy(np.flatnonzero(clean.correct))

    def ours() -> Distances:
        how = EpsSearch(eps, norm, steps)
        return smallest_eps(network, data, clean, how, device=CPU, batch_size=256)[right]

    ways: dict[str, Callable[[], Distances]] = {
        name: lambda attack=attack: by_library(network, data, right, attack, norm)
        for name, attack in attacks_of(network, norm, data.classes, fab_steps).items()
    }
    print(f"\n{norm}, {len(right)} images right of {len(data)}\n")
    print("| attack | median distance | forwards | backwards | seconds per image |")
    print("|---|--:|--:|--:|--:|")
    found: dict[str, Distances] = {}
    counter = Counter(network)
    for name, way in {f"ours, {steps} steps": ours, **ways}.items():
        counter.forwards = counter.backwards = 0
        start = time.process_time()
        found[name] = way()
        cost = (counter.forwards, counter.backwards, time.process_time() - start)
        forwards, backwards, seconds = (part / len(right) for part in cost)
        print(f"| {name} | {np.median(found[name]):.4f} | {forwards:.1f} | {backwards:.1f} | {seconds:.4f} |", flush=True)
    mine, *others = found.values()
    ratio = mine / np.min(others, axis=0)
    within = ", ".join(f"{100 * (ratio <= 1 + part).mean():.1f}% within {100 * part:g}%" for part in (0, 0.01, 0.02, 0.05))
    print(f"\nOurs over the smallest of the others: median {np.median(ratio):.4f}, largest {ratio.max():.2f}; {within}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--data-dir")
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--fab-steps", type=int, default=10)
    parser.add_argument("--norm", nargs="+", choices=["linf", "l2"], default=["linf", "l2"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = read_checkpoint(given.checkpoint)
    data = load_dataset(checkpoint.header.dataset.name, given.data_dir, None, given.examples).test
    for norm in given.norm:
        network = checkpoint.network().eval().requires_grad_(False).to(memory_format=torch.channels_last)
        clean = measure(network, data, None, device=CPU, batch_size=256)
        compare(network, data, clean, norm, given.steps, given.fab_steps, FARTHEST[norm])


if __name__ == "__main__":
    main()
