"""The networks that have a name of their own, with size and verdict: what `zsbench networks` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from robustbench_zs.networks.spec import NetworkSpec, network_from_name
from robustbench_zs.schemes.table import scheme_columns

if TYPE_CHECKING:
    import pandas as pd

DEPTHS = (20, 32, 44, 56, 110, 164, 326)
NAMED = (
    *(f"resnet{d}" for d in DEPTHS[:5]),
    *(f"preresnet{d}" for d in DEPTHS),
    *(f"preresnet32:alpha={a}" for a in ("2", "1.5", "0.5", "0.7")),
    *(f"lm-resnet44:k={k}" for k in ("-1.5", "1.5", "-0.5", "0.5")),
    *(f"lm-resnet44:k={k},beta=printed" for k in ("-1.5", "1.5", "-0.5", "0.5")),
    *(f"lm-resnet{d}" for d in DEPTHS[:5]),
    *(f"zerosnet{d}-opt" for d in DEPTHS),
    *(f"zerosnet{d}-tra" for d in DEPTHS[:5]),
    *(f"table10-{i}:depth=56" for i in range(1, 11)),
    *(f"{name}:form=imagenet" for d in (18, 34, 50) for name in (f"preresnet{d}", f"zerosnet{d}-opt")),
)
"""The paper's networks: baselines, Tables 1, 2 (with both β), 4, 5 and 10."""


def networks_table(
    networks: Iterable[str | NetworkSpec] = NAMED, channels: int = 3, size: int | None = None, classes: int | None = None
) -> pd.DataFrame:
    """One row per network: name, depth, block, parameters, multiply-adds for one image, moduli, verdict.

    Args:
        channels, size, classes: of the images (`size`×`size`) and labels; CIFAR-10's by default, and for networks in their
            ImageNet form 224×224 and 1000 classes where `size` and `classes` are left alone.

    Raises:
        RequestError: an unknown network.
    """
    import pandas as pd
    import torch
    from torch import nn

    from robustbench_zs.networks.build import build_network

    rows = []
    for network in networks:
        spec = network_from_name(network) if isinstance(network, str) else network
        unit = ((0.0,) * channels, (1.0,) * channels)
        with torch.device("meta"):  # shapes only: no memory, no arithmetic
            side, outputs = (32, 10) if spec.form == "cifar" else (224, 1000)
            module = build_network(spec, channels, classes or outputs, *unit)
            multiply_adds = 0

            def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
                nonlocal multiply_adds
                weight: torch.Tensor = layer.weight  # type: ignore[assignment]
                multiply_adds += weight[0].numel() * output.numel()

            for layer in module.modules():
                if isinstance(layer, (nn.Conv2d, nn.Linear)):
                    layer.register_forward_hook(count)
            module.eval()(torch.zeros(1, channels, size or side, size or side))
        rows.append(
            {
                "schema_version": 1,
                "network": spec.name,
                "scheme": spec.scheme_name,
                "depth": spec.depth,
                "block": spec.block,
                "parameters": sum(p.numel() for p in module.parameters()),
                "multiply_adds": multiply_adds,
                **scheme_columns(spec.fixed_scheme),
            }
        )
    return pd.DataFrame(rows).assign(zero_stable=pd.Series([row["zero_stable"] for row in rows], dtype=object))
