"""Several networks of one shape as one module: each convolution is a group of one grouped convolution.

Small images leave most of the time of a step to starting kernels; a stack starts as many for all its networks as one network
alone does. Nothing of one network enters another: groups, channels of batch norm and logits stay apart.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from robustbench_zs.networks.blocks import Normalize
from robustbench_zs.networks.multistep import MultistepResNet
from robustbench_zs.networks.spec import NetworkSpec
from robustbench_zs.schemes import MultistepScheme

Shape = tuple[int, int, str, tuple[int, ...], str, str]


def stack_shape(spec: NetworkSpec) -> Shape | None:
    """What networks have in common that can be stacked; None for those that cannot: trainable schemes and the ResNet."""
    if not isinstance(spec.scheme, MultistepScheme):
        return None
    return spec.scheme.order, spec.depth, spec.block, tuple(spec.widths), spec.form, spec.projection


class StackedLinear(nn.Module):
    """A linear layer for each of M networks; N×(M·C) features → M×N×K logits."""

    def __init__(self, networks: int, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(networks, classes, features))
        self.bias = nn.Parameter(torch.empty(networks, classes))

    def forward(self, features: Tensor) -> Tensor:
        networks, _, width = self.weight.shape
        apart = features.view(-1, networks, width).transpose(0, 1)
        return torch.baddbmm(self.bias[:, None], apart, self.weight.transpose(1, 2))


def stack(networks: Sequence[MultistepResNet]) -> MultistepResNet:
    """The networks as one, on their device: N×(M·C)×H×W images, those of each network side by side → M×N×K logits."""
    stacked = copy.deepcopy(networks[0])
    m = len(networks)
    for name, module in list(stacked.named_modules()):
        made = _stacked_module(module, m)
        if made is not None:
            parent, _, child = name.rpartition(".")
            setattr(stacked.get_submodule(parent), child, made)
    stacked.scalars_to_data([n.scheme for n in networks])  # type: ignore[misc]
    stacked.to(next(networks[0].parameters()).device).to(memory_format=torch.channels_last)
    with torch.no_grad():
        parts = [n.state_dict() for n in networks]
        for name, tensor in stacked.state_dict().items():
            tensor.copy_(joined([p[name] for p in parts], tensor.shape))
    return stacked.train(networks[0].training)


def _stacked_module(module: nn.Module, m: int) -> nn.Module | None:
    if isinstance(module, nn.Conv2d):
        return nn.Conv2d(
            m * module.in_channels,
            m * module.out_channels,
            module.kernel_size,  # type: ignore[arg-type]
            stride=module.stride,  # type: ignore[arg-type]
            padding=module.padding,  # type: ignore[arg-type]
            groups=m,
            bias=False,
        )
    if isinstance(module, nn.BatchNorm2d):
        return nn.BatchNorm2d(m * module.num_features, module.eps, module.momentum)
    if isinstance(module, nn.Linear):
        return StackedLinear(m, module.in_features, module.out_features)
    if isinstance(module, Normalize):
        return Normalize(tuple(module.mean.flatten().tolist()) * m, tuple(module.std.flatten().tolist()) * m)
    return None


def joined(parts: Sequence[Tensor], shape: torch.Size) -> Tensor:
    """The tensors of the networks as the stack's, of that shape: side by side along its channels, or along a new axis."""
    m, part = len(parts), parts[0].shape
    if shape == (m, *part):
        return torch.stack(list(parts))
    if not part:
        return parts[0]  # a count of batches, the same for all
    return torch.cat(list(parts), 0 if shape[0] == m * part[0] else 1)


def part_of(stacked: Tensor, index: int, networks: int, shape: torch.Size) -> Tensor:
    """The tensor of one network, of that shape, out of the stack's."""
    if stacked.shape == (networks, *shape):
        return stacked[index]
    if not shape:
        return stacked
    return stacked.chunk(networks, 0 if stacked.shape[0] == networks * shape[0] else 1)[index]
