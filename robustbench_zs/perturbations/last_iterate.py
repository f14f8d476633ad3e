"""Perturbations that use the last iterate of an attack, whatever the network says along the way."""

from __future__ import annotations

from dataclasses import dataclass

from robustbench_zs.perturbations.base import Perturbation
from robustbench_zs.perturbations.fgsm import FGSM
from robustbench_zs.perturbations.pgd import PGD


@dataclass(frozen=True)
class LastIterate(Perturbation):
    """A perturbation that runs all steps of FGSM or PGD.

    Args:
        attack: by our own engine, at one ε.
    """

    attack: FGSM | PGD

    @property
    def runs_to_the_end(self) -> bool:
        """Whether the attack is our own, untargeted, and takes all its steps from one start."""
        pgd = self.attack if isinstance(self.attack, PGD) else None
        goes_on = pgd is None or (pgd.last and not pgd.below and pgd.restarts == 1 and pgd.target is None)
        return bool(goes_on) and self.attack.engine == "native"

    @property
    def seed_or_none(self) -> int | None:
        return self.attack.seed_or_none

    @property
    def engine_or_none(self) -> str | None:
        return self.attack.engine
