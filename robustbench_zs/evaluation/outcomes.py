"""Network × perturbation → one outcome per image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from robustbench_zs.datasets import Split
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.float32 import full_float32
from robustbench_zs.perturbations import FGSM, GradientAttack, Perturbation
from robustbench_zs.perturbations.native import LOSSES, NORMS, fooled_or_close, gradient_at
from robustbench_zs.system.memory import enough_memory_or

EVALUATION_VERSION = 1
"""Raised when a change of the code changes outcomes; results of another version are not reused."""

NEAR_TIE = 1e-4
"""Floating-point tolerance of a decision, relative to the largest |logit| of the image: where the two largest logits differ
by less, another batch size, thread count or device may decide otherwise. Everywhere else outcomes are equal."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """`correct`: bool, N, whether each image is classified correctly; `near_ties`: bool, N, decisions within `NEAR_TIE`.

    `dataset_digest` is that of the images, `environment` what they were computed with, as canonical JSON; empty for here and
    now.
    """

    correct: npt.NDArray[np.bool_]
    near_ties: npt.NDArray[np.bool_]
    dataset_digest: str
    environment: str = ""

    @property
    def accuracy(self) -> float:
        """Percent."""
        return 100 * float(self.correct.mean())

    def where_also(self, other: Outcomes) -> Outcomes:
        """Right only where both are; a near tie where either is one."""
        return Outcomes(self.correct & other.correct, self.near_ties | other.near_ties, self.dataset_digest)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients for parameters and full float32 inside; everything as it was afterwards.

    Each call of the network gets images of its own, since a network may write into them (`x.sub_(mean)`).
    """
    modes = {module: module.training for module in network.modules()}
    gradients = {parameter: parameter.requires_grad for parameter in network.parameters()}
    copying = network.register_forward_pre_hook(_with_images_of_its_own)
    try:
        network.eval().requires_grad_(False)
        with torch.inference_mode(False), full_float32():
            yield
    finally:
        copying.remove()
        for module, training in modes.items():
            module.training = training
        for parameter, gradient in gradients.items():
            parameter.requires_grad_(gradient)


def _with_images_of_its_own(network: nn.Module, images: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(image.clone() for image in images)


def decide(logits: Tensor, labels: Tensor, answers: int = 1) -> tuple[Tensor, Tensor]:
    """Which images are right, and which decisions are near ties; N×K logits → two bool tensors of N.

    An image is right if its label is among the `answers` largest logits. One with a logit that is not finite is wrong: the
    network gives no answer there.
    """
    finite = torch.isfinite(logits).all(1)
    top = logits.topk(min(answers + 1, logits.shape[1]), dim=1)
    scale = logits.abs().amax(1)
    near = finite & ((top.values[:, min(answers, logits.shape[1]) - 1] - top.values[:, -1]) <= NEAR_TIE * scale)
    right = logits.argmax(1) == labels if answers == 1 else (top.indices[:, :answers] == labels[:, None]).any(1)
    return finite & right, near


def measure(
    network: nn.Module,
    data: Split,
    perturbation: Perturbation | None,
    *,
    device: torch.device,
    batch_size: int,
    clean: Outcomes | None = None,
) -> Outcomes:
    """Classify every image after the perturbation (none: clean images).

    Under an attack an image that is wrong when clean counts as wrong and is not attacked, so `clean` is needed there.

    Args:
        network: on `device`; see `evaluation_mode`.
        clean: outcomes of the same network on the same clean images, or under the attacks before this one.

    Raises:
        UnfinishedError: out of memory.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> test = zs.load_dataset("digits").test.first(20)
        >>> outcomes = zs.measure(net, test, zs.ConstantNoise(0.3), device=torch.device("cpu"), batch_size=20)
        >>> len(outcomes.correct)
        20
    """
    if searches(perturbation) and clean is not None:
        return measure_rungs(network, data, perturbation, device=device, batch_size=batch_size, start=clean)[perturbation]
    attacked = perturbation is not None and perturbation.attacks
    if attacked and clean is None:
        raise RequestError("an attack needs the outcomes on clean images: pass them as clean")
    chosen = np.flatnonzero(clean.correct) if attacked and clean is not None else np.arange(len(data))
    correct = np.zeros(len(data), np.bool_)
    # An image that is not attacked keeps the decision, and the near tie, that it had when clean.
    near_ties = clean.near_ties.copy() if attacked and clean is not None else np.zeros(len(data), np.bool_)
    if len(chosen) == 0:
        return Outcomes(correct, near_ties, data.digest)
    with memory_at(batch_size), evaluation_mode(network):
        for indices in torch.from_numpy(chosen).split(batch_size):
            images, labels = data.images(indices).to(device), data.labels[indices].to(device)
            if perturbation is not None:
                images = perturbation(network, images, labels, indices)
            with torch.no_grad():
                right, near = decide(network(images), labels, perturbation.answers if perturbation else 1)
            correct[indices.numpy()] = right.cpu().numpy()
            near_ties[indices.numpy()] = near.cpu().numpy()
    return Outcomes(correct, near_ties, data.digest)


def searches(perturbation: Perturbation | None) -> TypeGuard[GradientAttack]:
    """Whether our own engine carries it out."""
    return isinstance(perturbation, GradientAttack) and perturbation.engine == "native"


def measure_rungs(
    network: nn.Module,
    data: Split,
    attack: GradientAttack,
    *,
    device: torch.device,
    batch_size: int,
    start: Outcomes,
    known: int = 0,
) -> dict[GradientAttack, Outcomes]:
    """Every rung of an attack's ladder in one pass.

    Args:
        start: outcomes on clean images, or those of the highest rung that is known: what fell there is not attacked again,
            what stands climbs the ladder from its foot.
        known: so many of the lowest rungs are left out of the result.

    Raises:
        UnfinishedError: out of memory.
    """
    chosen = np.flatnonzero(start.correct)
    with memory_at(batch_size), evaluation_mode(network):
        found = attack.search(network, data, chosen.tolist(), device=device, batch_size=batch_size)
    made: dict[GradientAttack, Outcomes] = {}
    for rung in attack.rungs[known:]:
        # An image that is not attacked keeps the decision, and the near tie, that it had before.
        correct, near_ties = start.correct.copy(), start.near_ties.copy()
        correct[chosen] = found.fooled_at > rung.eps
        near_ties[chosen] = correct[chosen] & (found.close_at <= rung.eps)
        made[rung] = Outcomes(correct, near_ties, data.digest)
    return made


def measure_fgsm(
    network: nn.Module,
    data: Split,
    attacks: Sequence[FGSM],
    *,
    device: torch.device,
    batch_size: int,
    clean: Outcomes,
) -> dict[FGSM, Outcomes]:
    """FGSM at several ε from one gradient per image, by our own engine; images that are wrong when clean are not attacked.

    Raises:
        UnfinishedError: out of memory.
    """
    made = {attack: Outcomes(clean.correct.copy(), clean.near_ties.copy(), data.digest) for attack in attacks}
    norm, loss = NORMS["linf"], LOSSES["ce"]
    chosen = np.flatnonzero(clean.correct)
    if len(chosen) == 0:
        return made
    with memory_at(batch_size), evaluation_mode(network):
        for indices in torch.from_numpy(chosen).split(batch_size):
            images, labels = data.images(indices).to(device), data.labels[indices].to(device)
            x = images.clone().requires_grad_()
            with torch.enable_grad():
                gradient = gradient_at(x, loss(network(x), labels).sum())
            ascent = norm.ascent(torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0))
            for attack, outcomes in made.items():
                eps = torch.full((len(images),), attack.eps, device=device)
                with torch.no_grad():
                    fooled, close = fooled_or_close(network(norm.project(images + attack.eps * ascent, images, eps)), labels)
                outcomes.correct[indices.numpy()] = (~fooled).cpu().numpy()
                outcomes.near_ties[indices.numpy()] = close.cpu().numpy()
    return made


def memory_at(batch_size: int) -> AbstractContextManager[None]:
    """Turns running out of memory into a sentence."""
    return enough_memory_or(f"a batch of {batch_size} images does not fit in memory: use a smaller batch size")
