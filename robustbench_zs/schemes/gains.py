"""How a scheme amplifies what N blocks add: norms and sums of the impulse response, and how far starters grow.

As in `amplification`, g_0 … g_{N−1} is the impulse response, and a number beyond the range of floats is None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from robustbench_zs.errors import RequestError
from robustbench_zs.schemes.amplification import impulse_response
from robustbench_zs.schemes.scheme import MultistepScheme


@dataclass(frozen=True)
class Gains:
    """What a scheme does over N blocks; each is None where it exceeds the range of floats.

    Args:
        noise_gain: √Σ g_k², standard deviation at the output where every block adds independent noise of variance 1.
        response_norm: Σ |g_k|, the most that the output can change where every block changes by at most 1.
        dc_gain: |Σ g_k|, by how much the output changes where every block changes by 1.
        starter_amplification: max over 1 ≤ n ≤ N of |s_n|, where s_n = Σ α_i s_{n−1−i} and s_n = 1 for n ≤ 0: the most that
            a perturbation of the image, which starters hand on alike to all d initial states, can grow to. 1 at every n
            for Σ α_i = 1.
    """

    noise_gain: float | None
    response_norm: float | None
    dc_gain: float | None
    starter_amplification: float | None


def gains_over(scheme: MultistepScheme, blocks: int) -> Gains:
    """The gains over a number of residual blocks, those of a network or of one stage.

    Raises:
        RequestError: fewer than one block.
    """
    response = impulse_response(scheme, blocks)
    starters = continued(scheme, [1.0] * scheme.order, blocks)
    return Gains(
        noise_gain=_finite(math.hypot(*response)),
        response_norm=_finite(sum(map(abs, response))),
        dc_gain=_finite(abs(sum(response))),
        starter_amplification=_finite(max(map(abs, starters))) if all(map(math.isfinite, starters)) else None,
    )


def block_weights(scheme: MultistepScheme, blocks: int) -> tuple[float, tuple[float, ...]]:
    """(s, (w_0 … w_{N−1})) of y_N = s y_0 + Σ w_j f_j: what stem and residuals weigh in the last state of a network.

    The first d − 1 blocks are Euler steps, as in `networks.multistep`, so w_j = β g_{N−1−j} from j = d − 1 on; projections
    between stages count as the identity. Infinite or NaN as in `impulse_response`.

    Raises:
        RequestError: fewer blocks than the order of the scheme, or a scheme without β.
    """
    if blocks < scheme.order or scheme.beta is None:
        raise RequestError(f"a scheme of order {scheme.order} needs a β and at least {scheme.order} blocks, not {blocks}")
    starters = scheme.order - 1
    steps = blocks - starters
    beta = float(scheme.beta)
    later = [beta * g for g in reversed(impulse_response(scheme, steps))]
    # The residual of starter j is in every state from y_{j+1} on; newest first, these are the first d − 1 − j.
    early = [continued(scheme, [1.0] * (starters - j) + [0.0] * (j + 1), steps)[-1] for j in range(starters)]
    return continued(scheme, [1.0] * scheme.order, steps)[-1], (*early, *later)


def last_share(scheme: MultistepScheme, blocks: int) -> float | None:
    """|w_{N−1}| / (|s| + Σ |w_j|) with the weights of `block_weights`: the share of the last block in the last state.

    None beyond the range of floats, or where no block weighs anything.

    Raises:
        RequestError: as `block_weights`.
    """
    stem, weights = block_weights(scheme, blocks)
    total = abs(stem) + sum(map(abs, weights))
    return abs(weights[-1]) / total if total and math.isfinite(total) else None


def continued(scheme: MultistepScheme, history: Sequence[float], steps: int) -> list[float]:
    """The next states of y_{n+1} = Σ α_i y_{n−i} behind d initial ones, which stand newest first; no residuals."""
    alphas = [float(a) for a in scheme.alphas]
    recent = list(history)
    states = []
    for _ in range(steps):
        states.append(sum(a * y for a, y in zip(alphas, recent, strict=True)))
        recent = [states[-1], *recent[:-1]]
    return states


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
