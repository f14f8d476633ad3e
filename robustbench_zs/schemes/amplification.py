"""How much a scheme amplifies a perturbation over the blocks of a network; its roots describe infinitely many blocks.

A number beyond what a float holds (about 1.8·10^308) is None: deep networks of schemes with roots far outside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from robustbench_zs.errors import RequestError
from robustbench_zs.schemes.scheme import MultistepScheme


@dataclass(frozen=True)
class Amplification:
    """What a scheme does over N blocks; each is None where it exceeds the range of floats.

    Args:
        impulse_supremum: max |g_k| over k < N, at least 1 since g_0 = 1.
        effective_depth: (Σ|g_k|)² / (N Σ g_k²) over k < N, the share of the N blocks that still counts at the output: 1 if
            all count alike, 1/N if a single one does.
        amplification: the constant of eq. 6 at depth N, max over 1 ≤ n ≤ N of the 1-norm of the first row of Cⁿ.
    """

    impulse_supremum: float | None
    effective_depth: float | None
    amplification: float | None


def impulse_response(scheme: MultistepScheme, steps: int) -> tuple[float, ...]:
    """g_0 … g_{steps−1} with g_0 = 1 and g_k = Σ α_i g_{k−1−i}: what is left of a residual k steps after it was added.

    Values beyond the range of floats are infinite, and NaN where such values cancel.

    Raises:
        RequestError: fewer than one step.
    """
    _require_positive(steps)
    alphas = [float(a) for a in scheme.alphas]
    response = [1.0]
    while len(response) < steps:
        past = response[: -len(alphas) - 1 : -1]
        response.append(sum(a * g for a, g in zip(alphas, past, strict=False)))
    return tuple(response)


def companion_row_norms(scheme: MultistepScheme, steps: int) -> tuple[float, ...]:
    """1-norms of the first rows of C¹ … C^steps, C the companion matrix of the scheme.

    The first row of Cⁿ gives the state n steps on in terms of the d initial states, so its 1-norm is the most that a
    perturbation of these can grow to (eq. 6 of the paper, without residuals). Infinite or NaN as in `impulse_response`.

    Raises:
        RequestError: fewer than one step.
    """
    _require_positive(steps)
    alphas = [float(a) for a in scheme.alphas]
    row = [1.0] + [0.0] * (len(alphas) - 1)
    norms = []
    for _ in range(steps):
        row = [row[0] * alpha + after for alpha, after in zip(alphas, [*row[1:], 0.0], strict=True)]
        norms.append(math.fsum(map(abs, row)) if all(map(math.isfinite, row)) else math.inf)
    return tuple(norms)


def amplification_over(scheme: MultistepScheme, blocks: int) -> Amplification:
    """Supremum of the impulse response, effective depth and eq. 6's constant over a number of residual blocks.

    Args:
        blocks: number N of residual blocks, `NetworkSpec.blocks` of a network.

    Raises:
        RequestError: fewer than one block.
    """
    magnitudes = [abs(g) for g in impulse_response(scheme, blocks)]
    norms = companion_row_norms(scheme, blocks)
    supremum = max(magnitudes) if all(map(math.isfinite, magnitudes)) else None
    depth = None
    if supremum is not None:
        shares = [g / supremum for g in magnitudes]  # so that squares do not overflow
        depth = math.fsum(shares) ** 2 / (blocks * math.fsum(s * s for s in shares))
    return Amplification(supremum, depth, max(norms) if all(map(math.isfinite, norms)) else None)


def _require_positive(steps: int) -> None:
    if steps < 1:
        raise RequestError(f"a network must have at least one block, not {steps}")
