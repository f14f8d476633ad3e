"""A residual network whose blocks are the steps of a linear multistep scheme (eq. 2 and Figure 3 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_zs.networks.blocks import BLOCKS, Head, Normalize, he_normal_, project, stem
from robustbench_zs.networks.spec import NetworkSpec
from robustbench_zs.schemes import MultistepScheme, TrainableScheme


class MultistepResNet(nn.Module):
    """Stem, stages of pre-activation blocks, head; images N×C×H×W in [0, 1] (H, W ≥ 8) → N×`classes` logits.

    The first d − 1 blocks are Euler steps y_{n+1} = y_n + f(y_n) (the paper's starter blocks), every later one computes
    y_{n+1} = Σ α_i y_{n−i} + β f(y_n). In front of a block that changes the shape each state of the history goes through
    a projection of its own, and the projected states are the history from then on.

    With a `TrainableScheme` each of the later blocks has a parameter of its own in `parameters_of_blocks`. After
    `scalars_to_data` the fixed coefficients are a tensor, so that compiled code serves every scheme of the order.

    Args:
        spec: scheme, depth, block, widths and form; not the post-activation ResNet.
        channels, classes: of the images and labels.
        mean, std: per-channel normalization, applied inside the network.

    Examples:
        >>> spec = zs.network_from_name("zerosnet8-opt")
        >>> network = zs.MultistepResNet(spec, channels=3, classes=10, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
        >>> network(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    scalars: Tensor | None

    def __init__(
        self,
        spec: NetworkSpec,
        channels: int,
        classes: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__()
        assert spec.scheme is not None
        self.spec = spec
        self.scheme = spec.scheme
        block = BLOCKS[spec.block]
        self.normalize = Normalize(mean, std)
        self.stem = stem(channels, spec.widths[0], spec.form)
        self.blocks = nn.ModuleList()
        # One list per block, one projection for each state that the history holds there; empty where the shape stays.
        self.projections = nn.ModuleList()
        self.euler: list[bool] = []
        self.channels: list[int] = []  # of the state behind each block
        width_in = spec.widths[0]
        history = 1
        for stage, (width, blocks) in enumerate(zip(spec.widths, spec.stages, strict=True)):
            for position in range(blocks):
                stride = 2 if stage > 0 and position == 0 else 1
                width_out = width * block.expansion
                changes = stride != 1 or width_in != width_out
                across = not isinstance(self.scheme, TrainableScheme) or self.scheme.across_stages
                if changes and not across:
                    history = 1  # older states stay behind, in their old shape
                self.projections.append(
                    nn.ModuleList(
                        project(width_in, width_out, stride, spec.projection) for _ in range(history if changes else 0)
                    )
                )
                self.blocks.append(block(width_in, width, stride))
                self.euler.append(history < spec.order)
                self.channels.append(width_out)
                history = min(history + 1, spec.order)
                width_in = width_out
        self.head = Head(width_in, classes)
        self.register_buffer("scalars", None, persistent=False)
        he_normal_(self)
        if isinstance(self.scheme, TrainableScheme):
            self.parameters_of_blocks = nn.Parameter(torch.empty(self.euler.count(False)).uniform_(*self.scheme.start))

    def forward(self, images: Tensor) -> Tensor:
        history = [self.stem(self.normalize(images))]  # y_n, y_{n−1}, …
        coefficients = iter(self._coefficients())
        for step, block in enumerate(self.blocks):
            residual = block(history[0])
            if projections := list(self.projections[step].children()):
                history = [p(y) for p, y in zip(projections, history, strict=False)]
            if self.euler[step]:
                state = history[0] + residual
            else:
                alphas, beta = next(coefficients)
                state = beta * residual
                for alpha, past in zip(alphas, history, strict=True):
                    if isinstance(alpha, Tensor):
                        state = torch.addcmul(state, past, alpha)
                    elif alpha:
                        state = state.add(past, alpha=alpha)
            history = [state, *history[: self.spec.order - 1]]
        logits: Tensor = self.head(history[0])
        return logits

    def scalars_to_data(self, schemes: Sequence[MultistepScheme] = ()) -> None:
        """Read α and β from a buffer from now on; results change by rounding.

        Args:
            schemes: those of a stack, see `networks.stacked`; by default its own.
        """
        if isinstance(self.scheme, MultistepScheme):
            rows = [[float(c) for c in (*s.alphas, s.beta or 0)] for s in schemes or [self.scheme]]
            self.scalars = torch.tensor(rows, device=next(self.parameters()).device)

    def _coefficients(self) -> list[tuple[tuple[Any, ...], Any]]:
        """(α_0 … α_{d−1}), β of every block that is not an Euler step."""
        if self.scalars is not None:
            of_width = {width: self._scalars_of(width) for width in set(self.channels)}
            return [of_width[width] for width, euler in zip(self.channels, self.euler, strict=True) if not euler]
        if isinstance(self.scheme, MultistepScheme):
            assert self.scheme.beta is not None
            fixed = tuple(float(a) for a in self.scheme.alphas), float(self.scheme.beta)
            return [fixed] * self.euler.count(False)
        alphas, beta = self.scheme.coefficients(self.effective_parameters())
        betas = beta if isinstance(beta, Tensor) else [beta] * self.euler.count(False)
        return [(tuple(row), b) for row, b in zip(torch.stack(alphas, 1).unbind(0), betas, strict=True)]

    def _scalars_of(self, channels: int) -> tuple[tuple[Any, ...], Any]:
        """The scalars for states of so many channels per network: one number for one network, one per channel in a stack."""
        assert self.scalars is not None
        table = self.scalars
        if len(table) == 1:
            *alphas, beta = table[0].unbind()
        else:
            *alphas, beta = table.repeat_interleave(channels, 0).T[:, None, :, None, None].unbind()
        return tuple(alphas), beta

    def effective_parameters(self) -> Tensor:
        """The trainable parameters as they act, kept away from the pole; empty without any."""
        if not isinstance(self.scheme, TrainableScheme):
            return torch.empty(0)
        parameters = self.parameters_of_blocks
        least = self.scheme.smallest
        kept = torch.where(parameters < 0, parameters.clamp(max=-least), parameters.clamp(min=least))
        return parameters + (kept - parameters).detach() if least else parameters
