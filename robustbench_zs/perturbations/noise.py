"""The noise of §5.3: added to images in [0, 1], then clipped to [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations import draws
from robustbench_zs.perturbations.base import Perturbation
from robustbench_zs.perturbations.parameters import Meaning
from robustbench_zs.system.python_numbers import MAX_SEED

if TYPE_CHECKING:
    from torch import Tensor, nn

DEFAULT_SEED = 1
"""The paper's seed for uniform and Gaussian noise (§5.6); its draws were another generator's."""

_SEVERAL = "each value is a perturbation of its own."

NoiseSeed = Annotated[int, Meaning("Seed of the random draws.", 0, MAX_SEED, shown=False, option="noise-seed")]


@dataclass(frozen=True)
class UniformNoise(Perturbation):
    """Uniform on [low, high], in fractions of the pixel range; −1 ≤ low ≤ high ≤ 1.

    Examples:
        >>> zs.UniformNoise("-0.08", 0).label
        'uniform(low=-0.08, high=0)'
    """

    low: Annotated[float, Meaning("Lower end of the interval.", -1, 1)]
    high: Annotated[float, Meaning("Upper end of the interval.", -1, 1)]
    seed: NoiseSeed = DEFAULT_SEED
    kind: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.high:
            raise RequestError(f"low of uniform must not exceed high, but {self.low:g} > {self.high:g}")

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        unit = draws.uniform(self.seed, draws.UNIFORM, indices, tuple(images.shape[1:])).to(images.device)
        return (images + (self.low + (self.high - self.low) * unit)).clamp(0, 1)


@dataclass(frozen=True)
class GaussianNoise(Perturbation):
    """Normal with mean 0 and standard deviation delta ≥ 0, in fractions of the pixel range.

    Examples:
        >>> images = torch.full((2, 1, 8, 8), 0.5)
        >>> noisy = zs.GaussianNoise(0.1)(torch.nn.Identity(), images, torch.tensor([0, 1]), torch.tensor([0, 1]))
        >>> noisy.shape, bool((noisy - images).abs().max() < 0.5)
        (torch.Size([2, 1, 8, 8]), True)
    """

    delta: Annotated[
        float, Meaning(f"Standard deviation as a fraction of the pixel range; {_SEVERAL}", 0, 100, several=True)
    ]
    seed: NoiseSeed = DEFAULT_SEED
    kind: ClassVar[str] = "gaussian"

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        normal = draws.standard_normal(self.seed, draws.GAUSSIAN, indices, tuple(images.shape[1:])).to(images.device)
        return (images + self.delta * normal).clamp(0, 1)


@dataclass(frozen=True)
class ConstantNoise(Perturbation):
    """A grey image of value mu added to every image, −1 ≤ mu ≤ 1.

    Examples:
        >>> zs.ConstantNoise("0.3").mu
        0.3
    """

    mu: Annotated[float, Meaning(f"Value added to every pixel; {_SEVERAL}", -1, 1, several=True)]
    kind: ClassVar[str] = "constant"

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        return (images + self.mu).clamp(0, 1)
