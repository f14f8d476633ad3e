"""AutoAttack: four attacks without settings, one after the other, on what PGD left standing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.attacks import DEFAULT_SEED, DEFAULT_STEPS, PGD, Attack
from robustbench_zs.perturbations.numbers import format_number


@dataclass(frozen=True)
class AutoAttack(Attack):
    """The standard ensemble of Croce and Hein (2020, §4): APGD on cross-entropy, targeted APGD on the difference of logits
    ratio, targeted FAB (both with up to nine targets; 100 steps each), and Square with 5,000 queries.

    torchattacks carries them out; its draws are seeded by the seed and the first image of the batch, so they depend on the
    batch size.

    Args:
        pgd: our own PGD, which goes first: what it fools counts as fooled. One of the same norm and seed by default.

    Examples:
        >>> zs.AutoAttack("8/255").eps == 8 / 255
        True
    """

    engine: str = "torchattacks"
    norm: str = "linf"
    seed: int = DEFAULT_SEED
    pgd: PGD | None = None
    kind: ClassVar[str] = "autoattack"
    engines: ClassVar[tuple[str, ...]] = ("torchattacks",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pgd is None:
            object.__setattr__(self, "pgd", PGD(self.eps, norm=self.norm, seed=self.seed))
        if (self._first.engine, self._first.eps, self._first.norm) != ("native", self.eps, self.norm):
            raise RequestError("the PGD before AutoAttack is our own, at the same ε in the same norm")

    @property
    def _first(self) -> PGD:
        assert self.pgd is not None
        return self.pgd

    @property
    def ball(self) -> str:
        return self.norm

    @property
    def prior(self) -> tuple[Attack, ...]:
        below = [replace(self, eps=rung.eps, pgd=rung) for rung in self._first.rungs[:-1]]
        return (self._first, *below[-1:])

    def key(self) -> dict[str, Any]:
        return {**super().key(), "pgd": self._first.key()}

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        from robustbench_zs.perturbations.engines import torchattacks_engine

        start = images.clamp(0, 1)  # the library refuses an image at -3e-8
        found = torchattacks_engine.auto_attack(network, start, labels, indices, self.eps, self.norm, self.seed)
        return self._verified(images, found)

    @property
    def label(self) -> str:
        said = [f"norm={self.norm}"] if self.norm != "linf" else []
        said += [f"steps={self._first.steps}"] if self._first.steps != DEFAULT_STEPS else []
        said += [f"restarts={self._first.restarts}"] if self._first.restarts != 1 else []
        said += ["ladder"] if self._first.ladder else []
        return f"autoattack({', '.join([f'eps={format_number(self.eps)}', *said])})"

    @property
    def request(self) -> str | None:
        if self._first != PGD(
            self.eps,
            steps=self._first.steps,
            restarts=self._first.restarts,
            seed=self.seed,
            norm=self.norm,
            ladder=self._first.ladder,
        ):
            return None  # made in Python
        options = [
            ("steps", self._first.steps, DEFAULT_STEPS),
            ("restarts", self._first.restarts, 1),
            ("norm", self.norm, "linf"),
            ("attack-seed", self.seed, DEFAULT_SEED),
        ]
        return self._request(*options, below=self._first.ladder)
