"""Which images a network classifies correctly after an attack on another network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from robustbench_zs.evaluation.outcomes import Outcomes, decide, evaluation_mode, memory_at
from robustbench_zs.evaluation.questions.accuracy import Accuracy
from robustbench_zs.evaluation.questions.question import Bench


@dataclass(frozen=True)
class Transferred(Accuracy):
    """Accuracy under a `perturbations.transfer.Transfer`; `source` is the network attacked, needed only to compute."""

    source: nn.Module | None = field(default=None, compare=False)

    def answer(self, bench: Bench) -> Mapping[Any, Outcomes]:
        return {self: self.answer_each([bench])[0]}

    def answer_each(self, benches: Sequence[Bench]) -> list[Outcomes]:
        """The outcomes of several networks on examples that are made once; wrong is also what is wrong when clean.

        Raises:
            UnfinishedError: out of memory.
        """
        assert self.source is not None
        assert self.perturbation is not None
        device, batch_size, data = benches[0].device, benches[0].batch_size, benches[0].images(self.split)
        clean = [bench.ask(self._of(None)) for bench in benches]
        found = [Outcomes(c.correct.copy(), np.zeros(len(data), np.bool_), data.digest) for c in clean]
        networks = [bench.network() for bench in benches]
        with ExitStack() as modes:
            modes.enter_context(memory_at(batch_size))
            for network in (self.source, *networks):
                modes.enter_context(evaluation_mode(network))
            for indices in torch.arange(len(data)).split(batch_size):
                labels = data.labels[indices].to(device)
                examples = self.perturbation(self.source, data.images(indices).to(device), labels, indices)
                for network, outcomes in zip(networks, found, strict=True):
                    with torch.no_grad():
                        right, near = decide(network(examples), labels)
                    outcomes.correct[indices.numpy()] &= right.cpu().numpy()
                    outcomes.near_ties[indices.numpy()] = near.cpu().numpy()
        return found
