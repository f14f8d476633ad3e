"""Expectation over transformation: attacks on networks with random outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.base import Perturbation
from robustbench_zs.perturbations.fgsm import FGSM
from robustbench_zs.perturbations.last_iterate import LastIterate
from robustbench_zs.perturbations.native import gradient_at
from robustbench_zs.perturbations.numbers import check_whole
from robustbench_zs.perturbations.pgd import PGD

MAX_PASSES = 10_000


@dataclass(frozen=True)
class Expectation(LastIterate):
    """FGSM or PGD along gradients of the expected loss, which is the mean over passes with fresh noise (Athalye, Engstrom,
    Ilyas, Kwok 2018).

    Every image takes all steps, and its last iterate is the example: a verdict on the way would be one draw's, and the best
    of many draws is no example that fools in general.

    Args:
        attack: FGSM, or PGD of which only the last iterate counts, by our own engine: one ε, one start, no target.
        passes: of the network for each gradient.
    """

    passes: int
    kind: ClassVar[str] = "eot"
    attacks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole("the number of draws", self.passes, MAX_PASSES)
        if not self.runs_to_the_end:
            raise RequestError(
                "expectation over transformation requires FGSM or PGD by our own engine, untargeted and from one start"
            )

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        (method,), eps = self.attack.methods, torch.full((len(images),), self.attack.eps, device=images.device)
        norm, x = method.norm, images
        steps, length = 1, self.attack.eps
        if isinstance(self.attack, PGD):
            assert self.attack.step_size is not None
            steps, length = self.attack.steps, self.attack.step_size
            x = norm.start(images, eps, self.attack.seed, 0, indices)
        for _ in range(steps):
            total = torch.zeros_like(x)
            for _ in range(self.passes):
                here = x.detach().requires_grad_()
                with torch.enable_grad():
                    total += gradient_at(here, method.loss(network(here), labels).sum())
            x = norm.project(x + length * norm.ascent(torch.nan_to_num(total, posinf=0.0, neginf=0.0)), images, eps)
        return x.detach()

    def key(self) -> dict[str, Any]:
        return {"kind": self.kind, "passes": self.passes, "attack": self.attack.key()}

    @property
    def label(self) -> str:
        return f"{self.attack.label.removesuffix(')').replace(', last', '')}, eot={self.passes})"


def expectation(attack: Perturbation, passes: int) -> Expectation:
    """The attack with gradients averaged over a number of passes.

    Raises:
        RequestError: it is neither FGSM nor PGD, or see `Expectation`.
    """
    if not isinstance(attack, (FGSM, PGD)):
        raise RequestError(f"expectation over transformation requires fgsm or pgd, not {attack.kind}")
    return Expectation(attack, passes)
