"""What is made of an attack's last iterate, whatever the network says on the way."""

from __future__ import annotations

from dataclasses import dataclass

from robustbench_zs.perturbations.attacks import FGSM, PGD
from robustbench_zs.perturbations.base import Perturbation


@dataclass(frozen=True)
class LastIterate(Perturbation):
    """A perturbation that carries out FGSM or PGD to the end.

    Args:
        attack: by our own engine, at one ε.
    """

    attack: FGSM | PGD

    @property
    def runs_to_the_end(self) -> bool:
        """Whether the attack is our own and takes all its steps from one start."""
        if isinstance(self.attack, PGD) and (not self.attack.last or self.attack.ladder or self.attack.restarts > 1):
            return False
        return self.attack.engine == "native"

    @property
    def seed_or_none(self) -> int | None:
        return self.attack.seed_or_none

    @property
    def engine_or_none(self) -> str | None:
        return self.attack.engine
