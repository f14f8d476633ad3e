"""Attacks on one network in several ways, from which it shows whether its gradients mislead them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from robustbench_zs.datasets import Split
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.outcomes import Outcomes, evaluation_mode, measure
from robustbench_zs.evaluation.questions.accuracy import Accuracy
from robustbench_zs.evaluation.questions.question import Bench, Question
from robustbench_zs.perturbations import FGSM, PGD, Perturbation, Square
from robustbench_zs.perturbations.attacks import DEFAULT_ENGINE, DEFAULT_SEED
from robustbench_zs.perturbations.native import gradient_at
from robustbench_zs.system.limits import FileTable
from robustbench_zs.system.python_numbers import take_python_numbers

PROBE_VERSION = 2
"""Raised when a change of the code changes evidence; stored evidence of another version is not reused."""

UNBOUNDED = 0.5
"""Budget at which every image can be turned into plain grey, so that no network is right on all images in the ball."""

MORE_STEPS = 4
"""How many times the steps of PGD a longer PGD takes."""

MIN_IMAGES = 50
"""With fewer images that are classified correctly nothing could be decided, and nothing is attacked."""

GRADIENT_FLOOR = 1e-30
"""A gradient whose largest entry is below is useless: its smaller entries have underflowed in float32."""

SPREAD = 10.0
"""Difference between the largest and the smallest logit of an image once they are rescaled."""


class Evidence(FileTable):
    """What the attacks left standing, image by image.

    `usable_gradients` says for each attacked image whether the gradient of the loss is finite and not vanishing;
    `standing` has by attack which of them are still classified correctly: `fgsm`, `pgd`, `rescaled pgd` (on logits of spread
    `SPREAD`) and `square` at the probe's ε, `unbounded pgd` and `longer unbounded pgd` at `UNBOUNDED`. With fewer `images`
    than `MIN_IMAGES` nothing is made.
    """

    images: int
    eps: float
    steps: int
    queries: int
    usable_gradients: tuple[bool, ...] = ()
    standing: dict[str, tuple[bool, ...]] = Field(default_factory=dict)


@dataclass(frozen=True)
class MaskingProbe(Question[Evidence]):
    """How a network is probed.

    Args:
        eps: L∞ budget as a fraction of the pixel range.
        images: the first so many images that the network classifies correctly are attacked.
        steps: of PGD; a longer PGD takes `MORE_STEPS` times as many.
        queries: of Square, an image.
        seed: of PGD's random starts and of Square.
        engine: of FGSM and PGD.

    Raises:
        RequestError: a value out of range.
    """

    eps: float
    images: int = 100
    steps: int = PGD.steps
    queries: int = 300
    seed: int = DEFAULT_SEED
    engine: str = DEFAULT_ENGINE
    required: ClassVar[bool] = False

    def __post_init__(self) -> None:
        take_python_numbers(self)
        if isinstance(self.images, bool) or not isinstance(self.images, int) or not 1 <= self.images <= 1_000_000:
            raise RequestError(f"the number of images must be a whole number from 1 to 1000000, not {self.images!r}")
        object.__setattr__(self, "eps", self._pgd().eps)
        self._square()

    def _pgd(self, eps: float | None = None, times: int = 1) -> PGD:
        return PGD(self.eps if eps is None else eps, self.engine, self.steps * times, seed=self.seed)

    def _square(self) -> Square:
        return Square(self.eps, queries=self.queries, seed=self.seed)

    @property
    def label(self) -> str:
        return "gradient masking"

    @property
    def passes(self) -> float:
        return 100.0

    def parameters(self) -> list[Any]:
        return [PROBE_VERSION, asdict(self)]

    def answer(self, bench: Bench) -> Mapping[Any, Evidence]:
        clean, data = bench.ask(Accuracy()), bench.images("test")
        return {self: probe_network(bench.network(), data, clean, self, device=bench.device, batch_size=bench.batch_size)}

    def pack(self, answer: Evidence) -> bytes:
        return answer.model_dump_json().encode()

    def read(self, packed: bytes, data: Split, environment: str) -> Evidence:
        return Evidence.model_validate_json(packed)


class Rescaled(nn.Module):
    """A network whose logits are scaled, image by image, to a spread of `SPREAD`; the decision stays the same.

    The scale carries no gradient, so the loss is cross-entropy at a temperature that suits the image (compare the
    scale-invariant losses of Croce and Hein 2020).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        spread = (logits.amax(1, keepdim=True) - logits.amin(1, keepdim=True)).detach()
        return logits * (SPREAD / spread.clamp_min(torch.finfo(logits.dtype).tiny))


def probe_network(
    network: nn.Module, data: Split, clean: Outcomes, probe: MaskingProbe, *, device: torch.device, batch_size: int
) -> Evidence:
    """Attack the first images that the network classifies correctly in all the ways of `Evidence`.

    Args:
        network: on `device`.
        clean: outcomes of the network on the clean images of `data`.

    Raises:
        UnfinishedError: out of memory.
    """
    chosen = np.flatnonzero(clean.correct)[: probe.images]
    nothing = Evidence(images=len(chosen), eps=probe.eps, steps=probe.steps, queries=probe.queries)
    if len(chosen) < MIN_IMAGES:
        return nothing

    def standing(
        perturbation: Perturbation, attacked: nn.Module = network, among: Sequence[bool] | None = None
    ) -> tuple[bool, ...]:
        correct = np.zeros(len(data), np.bool_)
        correct[chosen] = True if among is None else among
        start = Outcomes(correct, np.zeros(len(data), np.bool_), data.digest)
        after = measure(attacked, data, perturbation, device=device, batch_size=batch_size, clean=start)
        return tuple(after.correct[chosen].tolist())

    found = {
        "fgsm": standing(FGSM(probe.eps, probe.engine)),
        "pgd": standing(probe._pgd()),
        "rescaled pgd": standing(probe._pgd(), Rescaled(network)),
        "unbounded pgd": (unbounded := standing(probe._pgd(UNBOUNDED))),
        # A longer attack on what the shorter one has fooled already would say nothing more.
        "longer unbounded pgd": standing(probe._pgd(UNBOUNDED, MORE_STEPS), among=unbounded),
        "square": standing(probe._square()),
    }
    usable = _usable_gradients(network, data, chosen, device, batch_size)
    return nothing.model_copy(update={"usable_gradients": tuple(usable.tolist()), "standing": found})


def _usable_gradients(
    network: nn.Module, data: Split, chosen: npt.NDArray[np.intp], device: torch.device, batch_size: int
) -> npt.NDArray[np.bool_]:
    usable = np.zeros(len(chosen), np.bool_)
    with evaluation_mode(network):
        for rows in torch.arange(len(chosen)).split(batch_size):
            indices = torch.from_numpy(chosen)[rows]
            images = data.images(indices).to(device).requires_grad_()
            with torch.enable_grad():
                loss = F.cross_entropy(network(images), data.labels[indices].to(device), reduction="sum")
                gradient = gradient_at(images, loss)
            largest = gradient.flatten(1).abs().amax(1)
            usable[rows.numpy()] = (torch.isfinite(gradient).flatten(1).all(1) & (largest >= GRADIENT_FLOOR)).cpu().numpy()
    return usable
