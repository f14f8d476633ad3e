"""Attacks by torchattacks (Kim 2020), an extra: it pins an old `requests` that other packages refuse to live beside."""

from __future__ import annotations

import sys
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
    words = np.random.SeedSequence([seed, restart, int(indices[0])]).generate_state(1)
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):  # the library draws the start from the global generator
        torch.manual_seed(int(words[0]))
        return _run(attack, images, labels)


def _run(attack: torchattacks.attack.Attack, images: Tensor, labels: Tensor) -> Tensor:
    with torch.enable_grad():
        result: Tensor = attack(images, labels)
    return result.detach()
