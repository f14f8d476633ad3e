from __future__ import annotations

import itertools
import pickle
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.networks import NetworkSpec, network_from_name
from robustbench_zs.networks.build import build_network
from robustbench_zs.networks.multistep import MultistepResNet
from robustbench_zs.networks.table import NAMED, networks_table
from robustbench_zs.schemes import MultistepScheme


def build(name: str, channels: int = 3, classes: int = 10) -> Any:
    torch.manual_seed(0)
    return build_network(network_from_name(name), channels, classes, (0.5,) * channels, (0.25,) * channels)


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
    scheme = network.spec.fixed_scheme
    assert scheme is not None
    assert scheme.beta is not None
    a0, a1, a2 = (float(a) for a in scheme.alphas)
    y0 = network.stem((images - 0.5) / 0.25)
    y1 = y0 + network.blocks[0](y0)
    y2 = y1 + network.blocks[1](y1)
    older, old, now = y0, y1, y2
    for step in range(2, len(network.blocks)):
        f = network.blocks[step](now)
        if projections := list(network.projections[step].children()):
            now, old, older = projections[0](now), projections[1](old), projections[2](older)
        older, old, now = old, now, a0 * now + a1 * old + a2 * older + float(scheme.beta) * f
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
    there_and_back = pickle.loads(pickle.dumps(spec))  # as on the way to a worker process
    assert (there_and_back, there_and_back.name) == (spec, name)


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
        ("lm-resnet20-tra", ["lm-resnet20-tra"]),
        ("resnet20:alpha=1", ["alpha"]),
        ("zerosnet20-tra:lambda=2", ["lambda"]),
        ("zerosnet20-opt:form=tiny", ["imagenet"]),
        ("zerosnet20-opt:form=imagenet", ["18", "50"]),
        ("zerosnet18-opt:form=imagenet,widths=1-2-3", ["4 numbers"]),
        ("resnet18:form=imagenet", ["torchvision"]),
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


# He et al. 2016a, Table 6, give 0.27, 0.46, 0.66, 0.85 and 1.7 million; counted by hand with parameter-free shortcuts:
# convolutions, two numbers a channel of each batch norm, head.
@pytest.mark.parametrize(
    ("depth", "parameters"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)]
)
def test_the_post_activation_resnet_has_its_published_size(depth: int, parameters: int) -> None:
    n = (depth - 2) // 6
    convolutions = 9 * (3 * 16 + 2 * n * 16**2 + 16 * 32 + (2 * n - 1) * 32**2 + 32 * 64 + (2 * n - 1) * 64**2)
    norms = 2 * (16 + 2 * n * (16 + 32 + 64))
    assert parameters == convolutions + norms + 65 * 10
    assert networks_table([f"resnet{depth}"])["parameters"][0] == parameters


@pytest.mark.parametrize(("layers", "parameters"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_imagenet_forms_are_as_large_as_torchvisions(layers: int, parameters: int) -> None:
    """torchvision's post-activation networks have the same convolutions; only batch norms stand elsewhere."""
    table = networks_table([f"preresnet{layers}:form=imagenet", f"zerosnet{layers}-opt:form=imagenet"])
    assert table["parameters"][0] == pytest.approx(parameters, rel=0.002)
    widths = [64, 128, 256, 512] if layers < 50 else [256, 512, 1024, 2048]
    # The bottleneck's first block projects one state, before there is a history.
    further = 2 * sum(a * b for a, b in itertools.pairwise(widths))
    assert table["parameters"][1] - table["parameters"][0] == further


PAPERS = [
    *(f"{kind}{d}" for d in (20, 32) for kind in ("resnet", "preresnet", "lm-resnet")),
    *("zerosnet20-opt", "zerosnet20-tra", "zerosnet32-tra", "preresnet32:alpha=0.7", "lm-resnet44:k=-0.5"),
    *("lm-resnet44:k=0.5,beta=printed", "preresnet29:block=bottleneck", "resnet29:block=bottleneck"),
    *("lm-resnet29:block=bottleneck", "zerosnet29-tra:block=bottleneck", *(f"table10-{i}:depth=20" for i in range(1, 11))),
    *("lm-resnet20:projection=preactivation", "table10-1:depth=20,projection=preactivation"),
    *(f"{kind}:form=imagenet,widths=4-8-16-32" for kind in ("preresnet18", "zerosnet34-opt", "zerosnet50-opt")),
]


@pytest.mark.parametrize("name", PAPERS)
def test_gradients_flow_into_every_parameter(name: str) -> None:
    network = build(name)
    size = 64 if "imagenet" in name else 16
    logits = network(torch.rand(4, 3, size, size))
    assert logits.shape == (4, 10)
    logits.square().sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def test_a_printed_beta_of_zero_lets_no_block_learn() -> None:
    """k = −0.5: the printed 2k + 1 vanishes, which is why the consistent 1 + k is the default."""
    network = build("lm-resnet20:k=-0.5,beta=printed")
    network(torch.rand(2, 3, 16, 16)).square().sum().backward()
    assert not network.blocks[3][2].weight.grad.any()


@pytest.mark.parametrize("lam", [1.0, -1.8, 10.0, 0.2])
def test_trainable_lambdas_act_as_the_fixed_scheme(lam: float) -> None:
    trainable, fixed = build("zerosnet20-tra").double().eval(), build(f"zerosnet20:lambda={lam}").double().eval()
    state = fixed.state_dict()
    trainable.load_state_dict({**state, "parameters_of_blocks": torch.full((7,), lam)})
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(trainable(images), fixed(images), rtol=1e-5, atol=1e-6)


def test_trainable_lambdas_start_at_1_and_stay_away_from_the_pole() -> None:
    network = build("zerosnet20-tra")
    assert network.effective_parameters().tolist() == [1.0] * 7  # of nine blocks two are starters
    with torch.no_grad():
        network.parameters_of_blocks.copy_(torch.tensor([-1.0, -0.05, -1e-9, 0.0, 1e-9, 0.05, 1.0]))
    kept = network.effective_parameters()
    assert kept.tolist() == pytest.approx([-1, -0.1, -0.1, 0.1, 0.1, 0.1, 1])
    network(torch.rand(2, 3, 16, 16)).square().sum().backward()
    assert network.parameters_of_blocks.grad.abs().min() > 0


def test_the_original_lm_resnet_is_lus() -> None:
    """y_{n+1} = k_n y_n + (1 − k_n) y_{n−1} + f(y_n); where the shape changes an Euler step of the projected state."""
    network = build("lm-resnet20").double().eval()
    k = network.parameters_of_blocks
    assert len(k) == 9 - 3
    assert ((k >= 1) & (k <= 1.1)).all()
    assert len(set(k.tolist())) == 6
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    old, now = None, network.stem((images - 0.5) / 0.25)
    parameters = iter(k)
    for step, block in enumerate(network.blocks):
        residual = block(now)
        if step in (0, 3, 6):
            for projection in network.projections[step]:
                now = projection(now)
            old, now = now, now + residual
        else:
            kn = next(parameters)
            old, now = now, kn * now + (1 - kn) * old + residual
    torch.testing.assert_close(network(images), network.head(now), rtol=1e-10, atol=1e-10)
    assert networks_table(["lm-resnet20"])["parameters"][0] == networks_table(["preresnet20"])["parameters"][0] + 6


def test_preactivation_projections_are_lus() -> None:
    """Their code's Downsample is BN-ReLU-1×1 with parameters of its own; the convolution alone is ours by default."""
    name = "lm-resnet20:projection=preactivation"
    network = build(name).double()
    for step, (channels, width) in {3: (16, 32), 6: (32, 64)}.items():
        (projection,) = network.projections[step].children()
        reference = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, width, 1, 2, bias=False)).double()
        reference.load_state_dict(projection.state_dict())
        state = torch.randn(4, channels, 8, 8, dtype=torch.float64)
        torch.testing.assert_close(projection(state), reference(state), rtol=0, atol=0)
    sizes = networks_table([name, "lm-resnet20"])["parameters"]
    assert sizes[0] - sizes[1] == 2 * (16 + 32)
    assert network.spec.name == name
    with pytest.raises(RequestError, match="'convolution' or 'preactivation'"):
        network_from_name("lm-resnet20:projection=none")
    with pytest.raises(RequestError, match="no projections"):
        network_from_name("resnet20:projection=preactivation")


def test_networks_without_a_single_scheme_have_no_verdict() -> None:
    table = networks_table(["resnet20", "zerosnet20-tra", "lm-resnet20"])
    assert table["moduli"].tolist() == [None] * 3
    assert table["zero_stable"].tolist() == [None] * 3
    assert table["scheme"].tolist() == ["resnet", "zerosnet-tra", "lm-original"]
