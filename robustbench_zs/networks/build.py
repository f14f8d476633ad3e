"""From a specification to a module."""

from __future__ import annotations

from robustbench_zs.networks.multistep import MultistepResNet
from robustbench_zs.networks.resnet import PostActivationResNet
from robustbench_zs.networks.spec import NetworkSpec

Network = MultistepResNet | PostActivationResNet


def build_network(
    spec: NetworkSpec, channels: int, classes: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> Network:
    """The network of a specification with freshly drawn weights; arguments as for `MultistepResNet`."""
    kind = PostActivationResNet if spec.scheme is None else MultistepResNet
    return kind(spec, channels, classes, mean, std)
