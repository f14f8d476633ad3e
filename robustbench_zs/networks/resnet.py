"""The post-activation residual network of He et al. 2016a in its CIFAR form: a baseline that is not a multistep method."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from robustbench_zs.networks.blocks import Normalize, he_normal_
from robustbench_zs.networks.spec import NetworkSpec


def _conv_bn(channels: int, width: int, size: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, size, stride=stride, padding=size // 2, bias=False), nn.BatchNorm2d(width)]


def _residual(block: str, channels: int, width: int, stride: int) -> tuple[nn.Sequential, int]:
    """conv-BN-ReLU … conv-BN, and its number of output channels."""
    if block == "basic":
        layers = [*_conv_bn(channels, width, 3, stride), nn.ReLU(inplace=True), *_conv_bn(width, width, 3)]
        return nn.Sequential(*layers), width
    layers = [*_conv_bn(channels, width, 1), nn.ReLU(inplace=True), *_conv_bn(width, width, 3, stride)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True), *_conv_bn(width, 4 * width, 1)), 4 * width


class PostActivationResNet(nn.Module):
    """y_{n+1} = ReLU(y_n + f(y_n)); images N×C×H×W in [0, 1] (H, W ≥ 8) → N×`classes` logits.

    Where the shape changes the shortcut takes every second pixel and fills new channels with zeros (option A of the
    paper), so it has no parameters. Arguments as for `MultistepResNet`.
    """

    def __init__(
        self, spec: NetworkSpec, channels: int, classes: int, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.spec = spec
        self.normalize = Normalize(mean, std)
        width_in = spec.widths[0]
        self.stem = nn.Sequential(*_conv_bn(channels, width_in, 3), nn.ReLU(inplace=True))
        self.blocks = nn.ModuleList()
        self.strides: list[int] = []
        for stage, (width, blocks) in enumerate(zip(spec.widths, spec.stages, strict=True)):
            for position in range(blocks):
                stride = 2 if stage > 0 and position == 0 else 1
                residual, width_in = _residual(spec.block, width_in, width, stride)
                self.blocks.append(residual)
                self.strides.append(stride)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width_in, classes))
        he_normal_(self)

    def forward(self, images: Tensor) -> Tensor:
        state = self.stem(self.normalize(images))
        for block, stride in zip(self.blocks, self.strides, strict=True):
            residual = block(state)
            state = state[:, :, ::stride, ::stride]
            # A block may have fewer channels than its input if widths shrink; then the first ones go on.
            state = F.pad(state, (0, 0, 0, 0, 0, residual.shape[1] - state.shape[1]))
            state = F.relu(state + residual)
        logits: Tensor = self.head(state)
        return logits
