"""Residual functions f of a step: pre-activation basic block and bottleneck (He et al. 2016b)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustbench_zs.networks.spec import Projection


class BasicBlock(nn.Sequential):
    """BN-ReLU-conv3×3 twice; N×`channels`×H×W → N×`width`×⌈H/stride⌉×⌈W/stride⌉."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
        )


class Bottleneck(nn.Sequential):
    """BN-ReLU-conv thrice, 1×1 to `width`, 3×3 with the stride, 1×1 to 4·`width` channels."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, self.expansion * width, 1, bias=False),
        )


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


class Head(nn.Sequential):
    """BN-ReLU-global average pool-linear; N×C×H×W → N×`classes` logits."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, classes),
        )


def stem(channels: int, width: int, form: str) -> nn.Module:
    """CIFAR: a 3×3 convolution. ImageNet: 7×7 with stride 2, BN, ReLU and 3×3 max-pool with stride 2, a quarter the side."""
    if form == "cifar":
        return nn.Conv2d(channels, width, 3, padding=1, bias=False)
    return nn.Sequential(
        nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    )


def project(channels: int, out_channels: int, stride: int, projection: Projection) -> nn.Module:
    """What brings a state to the shape of a new stage; see `NetworkSpec.projection`."""
    convolution = nn.Conv2d(channels, out_channels, 1, stride=stride, bias=False)
    if projection == "convolution":
        return convolution
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True), convolution)


def he_normal_(network: nn.Module) -> None:
    """He-normal (fan-out) convolutions (He et al. 2015); batch norm and linear keep torch's start values."""
    for module in network.modules():
        # On the meta device there are no values to set, and torch would import its compiler for nothing.
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class Normalize(nn.Module):
    """(x − mean)/std per channel, as part of the network, so that outside of it pixels stay in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std
