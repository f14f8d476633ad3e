"""Attacks by torchattacks (Kim 2020), an extra, since it pins an old `requests` that conflicts with other packages."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

import numpy as np
import torch
from torch import Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.engines import Batch

try:
    import torchattacks
except ImportError as error:
    raise RequestError(
        "the engine torchattacks needs the extra torchattacks: run `pip install 'robustbench_zs[torchattacks]'`, or use the "
        "engine foolbox"
    ) from error


def fgsm(network: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Tensor:
    with redirect_stdout(sys.stderr):  # it prints where results belong when a module has no parameters
        attack = torchattacks.FGSM(network, eps=eps)
    return _run(attack, images, labels)


def pgd(network: nn.Module, batch: Batch, eps: float, steps: int, step_size: float, seed: int, restart: int) -> Tensor:
    with redirect_stdout(sys.stderr):
        attack = torchattacks.PGD(network, eps=eps, alpha=step_size, steps=steps, random_start=True)
    return _run(attack, batch.images, batch.labels, [seed, restart, int(batch.indices[0])])


def square(network: nn.Module, batch: Batch, eps: float, norm: str, queries: int, seed: int) -> Tensor:
    words = [seed, int(batch.indices[0])]
    with redirect_stdout(sys.stderr):
        attack = torchattacks.Square(network, norm=LIBRARY_NORM[norm], eps=eps, n_queries=queries, seed=_seed(words))
    return _run(attack, batch.images, batch.labels, words)


AUTO_STEPS, AUTO_TARGETS, AUTO_QUERIES = 100, 9, 5000
"""The published numbers of AutoAttack's standard version; the library's own AutoAttack takes 10 steps."""

MIN_CLASSES = 4
"""The loss of targeted APGD takes the four largest logits."""

LIBRARY_NORM = {"linf": "Linf", "l2": "L2"}


def auto_attack(
    network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor, eps: float, norm: str, seed: int
) -> Tensor:
    """The standard version of AutoAttack, with each attack on the images that those before it left standing.

    Raises:
        RequestError: the network has fewer than four classes.
    """
    with torch.no_grad():
        classes = network(images[:1]).shape[1]
    if classes < MIN_CLASSES:
        raise RequestError(
            f"AutoAttack needs at least {MIN_CLASSES} classes, but this network has {classes}: use the attack apgd"
        )
    words = [seed, int(indices[0])]
    common = {"norm": LIBRARY_NORM[norm], "eps": eps, "seed": _seed(words)}
    targeted = {"steps": AUTO_STEPS, "n_classes": min(classes, AUTO_TARGETS + 1)}
    with redirect_stdout(sys.stderr):
        attacks = [
            torchattacks.APGD(network, steps=AUTO_STEPS, loss="ce", **common),
            torchattacks.APGDT(network, **targeted, **common),
            torchattacks.FAB(network, multi_targeted=True, **targeted, **common),
            torchattacks.Square(network, n_queries=AUTO_QUERIES, **common),
        ]
    result, standing = images.clone(), torch.arange(len(images), device=images.device)
    for attack in attacks:
        found = _run(attack, images[standing], labels[standing], words)
        with torch.no_grad():
            logits = network(found)
        fooled = ~torch.isfinite(logits).all(1) | (logits.argmax(1) != labels[standing])
        result[standing[fooled]] = found[fooled]
        standing = standing[~fooled]
        if len(standing) == 0:
            break
    return result


def _seed(words: Sequence[int]) -> int:
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def _run(attack: torchattacks.attack.Attack, images: Tensor, labels: Tensor, seed: Sequence[int] = (0,)) -> Tensor:
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        torch.manual_seed(_seed(seed))  # the library draws from the global generator
        result: Tensor = attack(images, labels)
    return result.detach()
