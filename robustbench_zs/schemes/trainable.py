"""Families with one trainable parameter per block; the network as a whole has no characteristic polynomial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from robustbench_zs.schemes.coefficients import Coefficient
from robustbench_zs.schemes.families import third_order_coefficients
from robustbench_zs.schemes.scheme import MultistepScheme


@dataclass(frozen=True)
class TrainableScheme:
    """A scheme with one trainable parameter per block.

    Args:
        name: as in network names and results.
        order: number of past states that enter a step.
        coefficients: parameter ↦ (α_0 … α_{d−1}), β; for a number as for a tensor.
        start: range that the parameters start in, uniformly.
        weight_decay: whether the parameters decay like the weights.
        across_stages: whether the step is taken where the shape changes too; else an Euler step of y_n alone.
        smallest: the parameter is kept at least this far from 0, the pole of the family; 0 where there is none.
    """

    name: str
    order: int
    coefficients: Callable[[Any], tuple[tuple[Any, ...], Any]]
    start: tuple[float, float]
    weight_decay: bool
    across_stages: bool
    smallest: float = 0.0

    def at(self, parameter: Coefficient) -> MultistepScheme:
        """The scheme of one block."""
        return MultistepScheme(*self.coefficients(parameter))


ZEROSNET_TRA = TrainableScheme(
    "zerosnet-tra", 3, third_order_coefficients, (1.0, 1.0), weight_decay=False, across_stages=True, smallest=0.1
)
"""ZeroSNet-Tra (§4.1, §5.6): eq. 10 with a λ_n for each block from the third on, all started at 1.

Between −0.1 and 0.1 the coefficients would exceed 10 and blow up at 0, so there λ acts as ±0.1; its gradient passes
through unchanged, so that it can leave again. The paper does not say how it avoids the pole."""


def lm_original_coefficients(k: Any) -> tuple[tuple[Any, Any], Any]:
    """(α_0, α_1), β of `LM_ORIGINAL`, for a number as for a tensor of them."""
    return (k, 1 - k), 1


LM_ORIGINAL = TrainableScheme("lm-original", 2, lm_original_coefficients, (1.0, 1.1), weight_decay=True, across_stages=False)
"""The LM-ResNet of Lu et al. 2018 as published: y_{n+1} = k_n y_n + (1 − k_n) y_{n−1} + f(y_n), k_n started in [1, 1.1].

Their text writes 1 − k_n where their code has k_n; it is the code's form, since only that start is near the Euler step.
The roots are 1 and k_n − 1. Where the shape changes their code takes an Euler step."""

TRAINABLE = {scheme.name: scheme for scheme in (ZEROSNET_TRA, LM_ORIGINAL)}
