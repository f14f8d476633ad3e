"""The noise of §5.3: added to images in [0, 1], then clipped to [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations import draws
from robustbench_zs.perturbations.base import Perturbation
from robustbench_zs.perturbations.numbers import format_number, parse_number
from robustbench_zs.system.python_numbers import take_python_numbers

DEFAULT_SEED = 1
"""The paper's seed for uniform and Gaussian noise (§5.6); its draws were another generator's."""


@dataclass(frozen=True)
class UniformNoise(Perturbation):
    """Uniform on [low, high], in fractions of the pixel range; −1 ≤ low ≤ high ≤ 1.

    Examples:
        >>> zs.UniformNoise("-0.08", 0).label
        'uniform(low=-0.08, high=0)'
    """

    low: float
    high: float
    seed: int = DEFAULT_SEED
    kind: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        take_python_numbers(self)
        object.__setattr__(self, "low", parse_number(self.low, "low of uniform noise", -1, 1))
        object.__setattr__(self, "high", parse_number(self.high, "high of uniform noise", -1, 1))
        draws.checked_seed(self.seed)
        if self.low > self.high:
            raise RequestError(f"low of uniform noise must not exceed high, but {self.low:g} > {self.high:g}")

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        unit = draws.uniform(self.seed, draws.UNIFORM, indices, tuple(images.shape[1:])).to(images.device)
        return (images + (self.low + (self.high - self.low) * unit)).clamp(0, 1)

    @property
    def label(self) -> str:
        return f"uniform(low={format_number(self.low)}, high={format_number(self.high)})"

    @property
    def request(self) -> str:
        ends = f"--low {format_number(self.low)} --high {format_number(self.high)}"
        return f"evaluate --noise uniform {ends}{_seed(self.seed)}"


@dataclass(frozen=True)
class GaussianNoise(Perturbation):
    """Normal with mean 0 and standard deviation delta ≥ 0, in fractions of the pixel range.

    Examples:
        >>> images = torch.full((2, 1, 8, 8), 0.5)
        >>> noisy = zs.GaussianNoise(0.1)(torch.nn.Identity(), images, torch.tensor([0, 1]), torch.tensor([0, 1]))
        >>> noisy.shape, bool((noisy - images).abs().max() < 0.5)
        (torch.Size([2, 1, 8, 8]), True)
    """

    delta: float
    seed: int = DEFAULT_SEED
    kind: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        take_python_numbers(self)
        object.__setattr__(self, "delta", parse_number(self.delta, "delta of Gaussian noise", 0, 100))
        draws.checked_seed(self.seed)

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        normal = draws.standard_normal(self.seed, draws.GAUSSIAN, indices, tuple(images.shape[1:])).to(images.device)
        return (images + self.delta * normal).clamp(0, 1)

    @property
    def label(self) -> str:
        return f"gaussian(delta={format_number(self.delta)})"

    @property
    def request(self) -> str:
        return f"evaluate --noise gaussian --delta {format_number(self.delta)}{_seed(self.seed)}"


@dataclass(frozen=True)
class ConstantNoise(Perturbation):
    """A grey image of value mu added to every image, −1 ≤ mu ≤ 1.

    Examples:
        >>> zs.ConstantNoise("0.3").mu
        0.3
    """

    mu: float
    kind: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mu", parse_number(self.mu, "mu of constant noise", -1, 1))

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        return (images + self.mu).clamp(0, 1)

    @property
    def label(self) -> str:
        return f"constant(mu={format_number(self.mu)})"

    @property
    def request(self) -> str:
        return f"evaluate --noise constant --mu {format_number(self.mu)}"


def _seed(seed: int) -> str:
    return "" if seed == DEFAULT_SEED else f" --noise-seed {seed}"
