"""The fast gradient sign method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from robustbench_zs.perturbations.attacks import GradientAttack
from robustbench_zs.perturbations.engines import engine

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robustbench_zs.perturbations.native import Method


@dataclass(frozen=True)
class FGSM(GradientAttack):
    """One step of size eps along the sign of the gradient (Goodfellow, Shlens, Szegedy 2014).

    Examples:
        >>> zs.FGSM("8/255").label
        'fgsm(eps=8/255)'
    """

    kind: ClassVar[str] = "fgsm"

    @property
    def methods(self) -> tuple[Method, ...]:
        from robustbench_zs.perturbations.native import LOSSES, NORMS, Method, PGDRule

        return (Method(PGDRule(1, 1.0), NORMS["linf"], LOSSES["ce"], only_last=True),)

    def _by_library(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        return self.verified(images, engine(self.engine).fgsm(network, images, labels, self.eps))
