from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.networks import NetworkSpec, network_from_name
from robustbench_zs.networks.multistep import MultistepResNet
from robustbench_zs.networks.table import NAMED, networks_table
from robustbench_zs.schemes import MultistepScheme


def build(name: str, channels: int = 3, classes: int = 10) -> MultistepResNet:
    torch.manual_seed(0)
    return MultistepResNet(network_from_name(name), channels, classes, (0.5,) * channels, (0.25,) * channels)


# Third order: issue and Table 8. First order: counted by hand, two fewer projections a stage change than the third order's:
# 2·(16·32 + 32·64) = 5120.
PARAMETERS = {20: 277_402, 32: 471_834, 44: 666_266, 56: 860_698, 110: 1_735_642}


@pytest.mark.parametrize(("depth", "parameters"), PARAMETERS.items())
def test_parameters_are_counted_exactly(depth: int, parameters: int) -> None:
    table = networks_table([f"zerosnet{depth}-opt", f"preresnet{depth}"])
    assert list(table["parameters"]) == [parameters, parameters - 5120]


def test_bottlenecks_have_the_size_of_the_literature() -> None:
    """He et al. 2016b, Table 4: PreResNet-164 has 1.7 million parameters."""
    assert networks_table(["preresnet164"])["parameters"][0] / 1e6 == pytest.approx(1.7, abs=0.05)


def test_multiply_adds_are_those_of_the_literature() -> None:
    """He et al. 2016a count 0.041 billion for a 20-layer CIFAR network."""
    table = networks_table(["preresnet20", "zerosnet20-opt"])
    assert table["multiply_adds"][0] / 1e9 == pytest.approx(0.041, abs=0.001)
    # Two more 1×1 projections at 16×16 and at 8×8 pixels.
    assert table["multiply_adds"][1] - table["multiply_adds"][0] == 2 * (16 * 32 * 16 * 16 + 32 * 64 * 8 * 8)


def by_hand(network: MultistepResNet, images: Tensor) -> Tensor:
    """Eq. 10 with the starter blocks of Figure 3, written as the paper writes it: y_{n+1} from y_n, y_{n−1}, y_{n−2}."""
    a0, a1, a2 = (float(a) for a in network.spec.scheme.alphas)
    y0 = network.stem((images - 0.5) / 0.25)
    y1 = y0 + network.blocks[0](y0)
    y2 = y1 + network.blocks[1](y1)
    older, old, now = y0, y1, y2
    for step in range(2, len(network.blocks)):
        f = network.blocks[step](now)
        if projections := list(network.projections[step].children()):
            now, old, older = projections[0](now), projections[1](old), projections[2](older)
        older, old, now = old, now, a0 * now + a1 * old + a2 * older + network.beta * f
    logits: Tensor = network.head(now)
    return logits


@pytest.mark.parametrize("scheme", ["zerosnet20-opt", *(f"table10-{i}:depth=20" for i in (1, 3, 9))])
def test_forward_is_the_equation(scheme: str) -> None:
    network = build(scheme).double().eval()
    images = torch.rand(3, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(network(images), by_hand(network, images), rtol=1e-10, atol=1e-10)


def test_the_first_order_is_a_preresnet() -> None:
    network = build("preresnet20:alpha=0.5").double().eval()
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    y = network.stem((images - 0.5) / 0.25)
    for projections, block in zip(network.projections, network.blocks, strict=True):
        shortcut = next(projections.children(), nn.Identity())
        y = 0.5 * shortcut(y) + block(y)
    torch.testing.assert_close(network(images), network.head(y), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 9])
def test_every_order_learns_in_every_parameter(order: int) -> None:
    scheme = MultistepScheme([Fraction(1, order)] * order, 1)
    network = MultistepResNet(NetworkSpec(scheme, 20, "basic", (4, 8, 16)), 3, 10, (0.5,) * 3, (0.25,) * 3)
    network(torch.rand(4, 3, 16, 16)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(8, 33),
    width=st.integers(8, 33),
    channels=st.integers(1, 4),
    classes=st.integers(1, 12),
    name=st.sampled_from(
        ["zerosnet20-opt:widths=2-3-5", "lm-resnet20:k=0.5,widths=4-4-4", "zerosnet11-opt:block=bottleneck"]
    ),
)
def test_any_size_any_channels(height: int, width: int, channels: int, classes: int, name: str) -> None:
    network = build(name, channels, classes).eval()
    assert network(torch.rand(2, channels, height, width)).shape == (2, classes)


def test_convolutions_start_he_normal() -> None:
    network = build("zerosnet20-opt:widths=64-128-256")
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
            assert float(module.weight.detach().std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


def test_normalization_is_inside() -> None:
    network = build("zerosnet20-opt:widths=2-4-8").eval()
    images = torch.rand(2, 3, 8, 8)
    shifted = MultistepResNet(network.spec, 3, 10, (0.0,) * 3, (1.0,) * 3).eval()
    shifted.load_state_dict({k: v for k, v in network.state_dict().items() if "normalize" not in k}, strict=False)
    torch.testing.assert_close(network(images), shifted((images - 0.5) / 0.25))
    assert {k for k in network.state_dict() if "normalize" in k} == {"normalize.mean", "normalize.std"}


@pytest.mark.parametrize(
    "name", [*NAMED, "table10-5:depth=20,widths=8-16-32", "zerosnet110-opt:block=bottleneck", "zerosnet164-opt:block=basic"]
)
def test_a_network_is_found_again_by_its_name(name: str) -> None:
    spec = network_from_name(name)
    assert spec.name == name
    assert network_from_name(spec.name) == spec


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("euler:depth=20", "preresnet20"),
        ("zerosnet-opt:depth=56", "zerosnet56-opt"),
        ("lm:k=0.5,depth=44", "lm-resnet44:k=0.5"),
        ("zerosnet20:lambda=-9/5", "zerosnet20:lambda=-1.8"),
        ("zerosnet20-opt:widths=16-32-64,block=basic", "zerosnet20-opt"),
    ],
)
def test_other_ways_to_say_it(name: str, means: str) -> None:
    assert network_from_name(name).name == means


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vgg16", ["vgg16", "zerosnet56-opt"]),
        ("zerosnet21-opt", ["6n+2", "21"]),
        ("zerosnet164-opt:block=basic,widths=1", ["widths"]),
        ("zerosnet165-opt", ["9n+2", "165"]),
        ("zerosnet2-opt", ["6n+2"]),
        ("zerosnet999998-opt", ["2000"]),
        ("zerosnet20", ["lambda"]),
        ("preresnet20-opt", ["preresnet20-opt"]),
        ("zerosnet20-opt:block=vgg", ["basic", "bottleneck"]),
        ("zerosnet20-opt:widths=0-1-2", ["widths"]),
        ("zerosnet20-opt:widths=a-b-c", ["widths"]),
        ("zerosnet20-opt:widths=99999-1-1", ["4096"]),
        ("zerosnet20-opt:depth=20", ["depth"]),
        ("table10-1", ["table10-1"]),
        ("table10-1:depth=x", ["depth"]),
        ("multistep:alphas=0 0 0 1,beta=1,depth=8", ["order 4", "3"]),
        ("", ["zerosnet56-opt"]),
    ],
)
def test_a_wrong_name_gets_one_sentence(name: str, words: list[str]) -> None:
    with pytest.raises(RequestError) as error:
        network_from_name(name)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_a_network_needs_beta() -> None:
    with pytest.raises(RequestError, match="beta"):
        NetworkSpec(MultistepScheme([1]), 20, "basic")
