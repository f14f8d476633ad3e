"""A residual network whose blocks are the steps of a linear multistep scheme (eq. 2 and Figure 3 of the paper)."""

from __future__ import annotations

from torch import Tensor, nn

from robustbench_zs.networks.blocks import BLOCKS, Head, Normalize, he_normal_, project
from robustbench_zs.networks.spec import NetworkSpec


class MultistepResNet(nn.Module):
    """CIFAR-form network: 3×3 stem, three stages, head; images N×C×H×W in [0, 1] (H, W ≥ 8) → N×`classes` logits.

    The first d − 1 blocks are Euler steps y_{n+1} = y_n + f(y_n) (the paper's starter blocks), every later one computes
    y_{n+1} = Σ α_i y_{n−i} + β f(y_n). In front of a block that changes the shape each state of the history goes through
    a 1×1 convolution of its own, and the projected states are the history from then on.

    Args:
        spec: scheme, depth, block and widths.
        channels, classes: of the images and labels.
        mean, std: per-channel normalization, applied inside the network.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        channels: int,
        classes: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__()
        assert spec.scheme.beta is not None
        self.spec = spec
        self.alphas = tuple(float(a) for a in spec.scheme.alphas)
        self.beta = float(spec.scheme.beta)
        block = BLOCKS[spec.block]
        self.normalize = Normalize(mean, std)
        self.stem = nn.Conv2d(channels, spec.widths[0], 3, padding=1, bias=False)
        self.blocks = nn.ModuleList()
        # One list a block, one projection for each state that the history holds there; empty where the shape stays.
        self.projections = nn.ModuleList()
        width_in = spec.widths[0]
        for stage, width in enumerate(spec.widths):
            for position in range(spec.blocks_per_stage):
                stride = 2 if stage > 0 and position == 0 else 1
                width_out = width * block.expansion
                history = min(len(self.blocks) + 1, spec.scheme.order)
                changes = stride != 1 or width_in != width_out
                self.projections.append(
                    nn.ModuleList(project(width_in, width_out, stride) for _ in range(history if changes else 0))
                )
                self.blocks.append(block(width_in, width, stride))
                width_in = width_out
        self.head = Head(width_in, classes)
        he_normal_(self)

    def forward(self, images: Tensor) -> Tensor:
        order = len(self.alphas)
        history = [self.stem(self.normalize(images))]  # y_n, y_{n−1}, …
        for step, block in enumerate(self.blocks):
            residual = block(history[0])
            if projections := list(self.projections[step].children()):
                history = [p(y) for p, y in zip(projections, history, strict=True)]
            if step < order - 1:
                state = history[0] + residual
            else:
                state = self.beta * residual
                for alpha, past in zip(self.alphas, history, strict=True):
                    if alpha:
                        state = state.add(past, alpha=alpha)
            history = [state, *history[: order - 1]]
        logits: Tensor = self.head(history[0])
        return logits
