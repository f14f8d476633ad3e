"""Transfer attacks: the adversarial examples of one network, evaluated on another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.fgsm import FGSM
from robustbench_zs.perturbations.last_iterate import LastIterate
from robustbench_zs.perturbations.make import make_attacks
from robustbench_zs.perturbations.pgd import PGD
from robustbench_zs.schemes import CoefficientLike


@dataclass(frozen=True)
class Transfer(LastIterate):
    """Images that an attack made on a source network; called with the source, not with the network that is measured.

    The attack takes all its steps: an example that only just fools its source would hardly fool another network.

    Args:
        attack: FGSM, or PGD of which only the last iterate counts, by our own engine at one ε.
        source: digest of the source's weights.
        source_name: what labels call the source.
    """

    source: str
    source_name: str
    kind: ClassVar[str] = "transfer"

    def __post_init__(self) -> None:
        if not self.runs_to_the_end:
            raise RequestError(
                "a transfer attack must be FGSM or PGD by our own engine, untargeted, with a single ε, a single start and "
                "its last iterate"
            )

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        return self.attack(network, images, labels, indices)

    def key(self) -> dict[str, Any]:
        return {"kind": self.kind, "attack": self.attack.key(), "source": self.source}

    @property
    def label(self) -> str:
        return f"{self.attack.label.replace(', last', '')} from {self.source_name}"


def transferable(kind: str, eps: CoefficientLike, **parameters: Any) -> FGSM | PGD:
    """The attack that goes to its end, so that its examples can be transferred.

    Raises:
        RequestError: it is neither FGSM nor PGD, or a parameter is not allowed.
    """
    (attack,) = make_attacks(kind, [eps], **parameters | ({"last": True} if kind == "pgd" else {}))
    if not isinstance(attack, (FGSM, PGD)):
        raise RequestError(f"examples of {attack.kind} cannot be transferred: use fgsm or pgd")
    return attack
