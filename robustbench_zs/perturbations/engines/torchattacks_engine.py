"""Attacks by torchattacks (Kim 2020), an extra: it pins an old `requests` that other packages refuse to live beside."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

import numpy as np
import torch
from torch import Tensor, nn

from robustbench_zs.errors import RequestError

try:
    import torchattacks
except ImportError as error:
    raise RequestError(
        "the engine torchattacks is not installed: pip install 'robustbench_zs[torchattacks]', or use --engine foolbox"
    ) from error


def fgsm(network: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Tensor:
    with redirect_stdout(sys.stderr):  # it prints where results belong when a module has no parameters
        attack = torchattacks.FGSM(network, eps=eps)
    return _run(attack, images, labels)


def pgd(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    indices: Tensor,
    eps: float,
    steps: int,
    step_size: float,
    seed: int,
    restart: int,
) -> Tensor:
    with redirect_stdout(sys.stderr):
        attack = torchattacks.PGD(network, eps=eps, alpha=step_size, steps=steps, random_start=True)
    return _run(attack, images, labels, [seed, restart, int(indices[0])])


def square(
    network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor, eps: float, queries: int, seed: int
) -> Tensor:
    words = [seed, int(indices[0])]
    with redirect_stdout(sys.stderr):
        attack = torchattacks.Square(network, eps=eps, n_queries=queries, seed=_seed(words))
    return _run(attack, images, labels, words)


def _seed(words: Sequence[int]) -> int:
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def _run(attack: torchattacks.attack.Attack, images: Tensor, labels: Tensor, seed: Sequence[int] = (0,)) -> Tensor:
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        torch.manual_seed(_seed(seed))  # the library draws from the global generator
        result: Tensor = attack(images, labels)
    return result.detach()
