"""Which images a network classifies correctly, clean or under a perturbation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from robustbench_zs.datasets import Split
from robustbench_zs.evaluation.outcomes import EVALUATION_VERSION, Outcomes, measure, measure_fgsm, measure_rungs, searches
from robustbench_zs.evaluation.questions.question import Bench, Question
from robustbench_zs.perturbations import FGSM, GradientAttack, Perturbation
from robustbench_zs.perturbations.attacks import Attack
from robustbench_zs.perturbations.native import Directions


@dataclass(frozen=True)
class Accuracy(Question[Outcomes]):
    """The outcome of each image of a split under a perturbation (None: clean)."""

    perturbation: Perturbation | None = None
    split: str = "test"

    @property
    def label(self) -> str:
        return self.perturbation.label if self.perturbation else f"clean {self.split}"

    @property
    def perturbation_label(self) -> str:
        return self.perturbation.label if self.perturbation else "clean"

    @property
    def perturbation_key(self) -> dict[str, Any]:
        return self.perturbation.key() if self.perturbation else {"kind": "clean"}

    @property
    def passes(self) -> float:
        p = self.perturbation
        return 1.0 if p is None else 1.0 + 3 * getattr(p, "steps", 1) * getattr(p, "restarts", 1)

    def parameters(self) -> list[Any]:
        return [EVALUATION_VERSION, self.split, self.perturbation_key]

    def with_directions(self, directions: Directions) -> Self:
        return replace(self, perturbation=self.perturbation and self.perturbation.with_directions(directions))

    def pack(self, answer: Outcomes) -> bytes:
        return np.packbits(answer.correct).tobytes() + np.packbits(answer.near_ties).tobytes()

    def read(self, packed: bytes, data: Split, environment: str) -> Outcomes:
        size = -(-len(data) // 8)
        if len(packed) != 2 * size:
            raise ValueError(f"a row does not hold the outcomes of {len(data)} images")
        bits = np.frombuffer(packed, np.uint8)
        correct, near = (np.unpackbits(part, count=len(data)).astype(np.bool_) for part in (bits[:size], bits[size:]))
        return Outcomes(correct, near, data.digest, environment)

    def answer(self, bench: Bench) -> Mapping[Any, Outcomes]:
        if _is_our_fgsm(self.perturbation):
            return self._one_gradient(bench)
        if searches(self.perturbation):
            return self._ladder(bench, self.perturbation)
        before = self._standing(bench, self.perturbation) if self.perturbation else None
        how = {"device": bench.device, "batch_size": bench.batch_size}
        return {self: measure(bench.network(), bench.images(self.split), self.perturbation, clean=before, **how)}  # type: ignore[arg-type]

    def _of(self, perturbation: Perturbation | None) -> Accuracy:
        return Accuracy(perturbation, self.split)

    def _standing(self, bench: Bench, perturbation: Perturbation) -> Outcomes:
        """Before the perturbation: clean, and under the attacks that go before it."""
        before = bench.ask(self._of(None))
        for attack in perturbation.prior if isinstance(perturbation, Attack) else ():
            before = before.where_also(bench.ask(self._of(attack)))
        return before

    def _asked(self, bench: Bench) -> list[Perturbation]:
        """The perturbations of all questions about this split, this one's first."""
        asked = [self, *(q for q in bench.asked if isinstance(q, Accuracy) and q.split == self.split)]
        return [q.perturbation for q in asked if q.perturbation is not None]

    def _one_gradient(self, bench: Bench) -> Mapping[Any, Outcomes]:
        """FGSM at all ε that are asked about and not known, from one gradient per image."""
        wanted = [p for p in dict.fromkeys(self._asked(bench)) if _is_our_fgsm(p) and bench.recall(self._of(p)) is None]
        made = measure_fgsm(
            bench.network(),
            bench.images(self.split),
            wanted,  # type: ignore[arg-type]
            device=bench.device,
            batch_size=bench.batch_size,
            clean=bench.ask(self._of(None)),
        )
        return {self._of(attack): outcomes for attack, outcomes in made.items()}

    def _ladder(self, bench: Bench, wanted: GradientAttack) -> Mapping[Any, Outcomes]:
        """What is not known of the longest ladder asked about that holds the attack, in one pass."""
        asked = self._asked(bench)
        asked += [prior for p in asked if isinstance(p, Attack) for prior in p.prior]
        longest = max((p for p in asked if searches(p) and wanted in p.rungs), key=lambda p: len(p.rungs), default=wanted)
        before, known = self._standing(bench, longest), 0
        while longest.rungs[known] != wanted and (there := bench.recall(self._of(longest.rungs[known]))):
            before, known = there, known + 1
        made = measure_rungs(
            bench.network(),
            bench.images(self.split),
            longest,
            device=bench.device,
            batch_size=bench.batch_size,
            start=before,
            known=known,
        )
        return {self._of(rung): outcomes for rung, outcomes in made.items()}


def _is_our_fgsm(perturbation: Perturbation | None) -> bool:
    return isinstance(perturbation, FGSM) and perturbation.engine == "native"
