"""Networks as people have them: they write into their input, view features, return more than logits, cannot be copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustbench_zs.analysis.check_masking import masking
from robustbench_zs.cli.main import main
from robustbench_zs.datasets import LabelledImages, load_dataset
from robustbench_zs.errors import RequestError, ZsbenchWarning
from robustbench_zs.evaluation import attack, evaluate, gap, measure, robustness_curve, transfer_attack
from robustbench_zs.perturbations import PGD, GaussianNoise
from robustbench_zs.studies.check import make_baseline

FEW = 60
TF32_BY_DEFAULT = (("cuda", "conv"), ("cuda", "rnn"))
CUDA_MATMUL, CPU_MATMUL = ("cuda", "matmul"), ("mkldnn", "matmul")
ALL_SWITCHES = [("generic", "all"), *((b, o) for b in ("cuda", "mkldnn") for o in ("all", "matmul", "conv", "rnn"))]


@pytest.fixture(scope="module")
def linear() -> nn.Linear:
    """Reads about nine digits in ten from images with mean 0.5 taken off."""
    train = load_dataset("digits").train
    torch.manual_seed(0)
    layer = nn.Linear(64, 10)
    optimizer = torch.optim.Adam(layer.parameters(), 0.05)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(layer((train.images() - 0.5).flatten(1)), train.labels).backward()
        optimizer.step()
    return layer


class Pure(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, images: Tensor) -> Any:
        return self.layer((images - 0.5).flatten(1))


class Writing(Pure):
    def forward(self, images: Tensor) -> Any:
        return self.layer(images.sub_(0.5).flatten(1))


class Viewing(Pure):
    """`view` wants features that are laid out channel by channel."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        self.convolution = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, images: Tensor) -> Any:
        return self.layer(self.convolution(images).view(len(images), -1)[:, :64])


class Squeezing(Pure):
    def forward(self, images: Tensor) -> Any:
        return super().forward(images).squeeze()


class Keeping(Pure):
    """Keeps features, with their graph, which `deepcopy` refuses."""

    def forward(self, images: Tensor) -> Any:
        self.kept = super().forward(images)
        return self.kept


class WithExtraState(Pure):
    def get_extra_state(self) -> dict[str, int]:
        return {"version": 1}

    def set_extra_state(self, state: dict[str, int]) -> None:
        pass


class Answer:
    """As the outputs of Hugging Face's models."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class Returning(Pure):
    def __init__(self, layer: nn.Linear, wrap: Callable[[Tensor], Any]) -> None:
        super().__init__(layer)
        self.wrap = wrap

    def forward(self, images: Tensor) -> Any:
        return self.wrap(super().forward(images))


def accuracies(network: nn.Module, *, examples: int = FEW) -> list[float]:
    """Clean, under FGSM and under PGD."""
    frames = [evaluate([network], dataset="digits", examples=examples, store=None)]
    frames += [attack([network], kind, eps=0.1, dataset="digits", examples=examples, store=None) for kind in ("fgsm", "pgd")]
    return [float(frame["accuracy"].iloc[0]) for frame in frames]


@pytest.fixture(scope="module")
def expected(linear: nn.Linear) -> list[float]:
    found = accuracies(Pure(linear))
    images = load_dataset("digits").test.first(FEW)
    direct = ((images.images() - 0.5).flatten(1) @ linear.weight.T + linear.bias).argmax(1) == images.labels
    assert found[0] == pytest.approx(100 * float(direct.float().mean()))
    assert found[0] > 85 > found[1] >= found[2]
    return found


def test_a_network_that_writes_into_its_input(linear: nn.Linear, expected: list[float]) -> None:
    assert accuracies(Writing(linear)) == expected


@pytest.mark.parametrize("engine", ["foolbox", "torchattacks"])
def test_libraries_give_it_images_of_its_own_too(linear: nn.Linear, engine: str) -> None:
    if engine == "torchattacks":
        pytest.importorskip("torchattacks")
    options: dict[str, Any] = {
        "eps": 0.1,
        "queries": 5,
        "engine": engine,
        "dataset": "digits",
        "examples": 20,
        "store": None,
    }
    found = [
        attack([network], kind, **options)["accuracy"].iloc[0]
        for network in (Pure(linear), Writing(linear))
        for kind in ("fgsm", "pgd", *(["square"] if engine == "torchattacks" else []))
    ]
    assert found[: len(found) // 2] == found[len(found) // 2 :]


def test_the_next_target_of_a_transfer_sees_the_same_images(linear: nn.Linear) -> None:
    targets = [Pure(linear), Writing(linear), Pure(linear), Writing(linear)]
    for source in (Pure(linear), Writing(linear)):
        frame = transfer_attack([source], targets, eps=0.1, dataset="digits", examples=FEW, store=None)
        assert frame["accuracy"].nunique() == 1
        assert frame["clean_accuracy"].nunique() == 1


def test_a_curve_and_a_plain_measurement_of_it(linear: nn.Linear, digits: LabelledImages) -> None:
    options: dict[str, Any] = {"dataset": "digits", "examples": 20, "steps": 4, "store": None}
    curves = [
        robustness_curve([network], **options)["robust_accuracy"].iloc[0] for network in (Pure(linear), Writing(linear))
    ]
    assert curves[0] == curves[1]
    data, cpu = digits.first(FEW), torch.device("cpu")
    found = [measure(net, data, None, device=cpu, batch_size=7) for net in (Pure(linear), Writing(linear))]
    assert (found[0].correct == found[1].correct).all()


@pytest.mark.parametrize("kind", [Viewing, Squeezing, Keeping, WithExtraState])
def test_networks_that_are_taken_as_they_are(linear: nn.Linear, expected: list[float], kind: type[Pure]) -> None:
    torch.manual_seed(0)
    network = kind(linear)
    network(torch.rand(2, 1, 8, 8))  # what it keeps is there before it is copied
    found = accuracies(network)
    assert found == expected or kind is Viewing


def test_a_split_that_ends_with_one_image(linear: nn.Linear) -> None:
    frame = evaluate([Squeezing(linear)], dataset="digits", examples=21, batch_size=20, store=None)
    assert (
        frame["accuracy"].tolist()
        == evaluate([Pure(linear)], dataset="digits", examples=21, store=None)["accuracy"].tolist()
    )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda logits: (logits, logits.sum()),
        lambda logits: {"logits": logits, "features": logits.sum()},
        lambda logits: {"out": logits},
        Answer,
        lambda logits: logits.double(),
        lambda logits: [logits.bfloat16().float()],
    ],
    ids=["tuple", "dict", "dict of one", "logits", "float64", "list"],
)
def test_what_networks_return(linear: nn.Linear, expected: list[float], wrap: Callable[[Tensor], Any]) -> None:
    assert accuracies(Returning(linear, wrap)) == pytest.approx(expected, abs=100 / FEW)


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (lambda logits: {"a": logits, "b": logits}, "returned dict with the keys a, b"),
        (lambda logits: "logits", "returned str"),
        (lambda logits: logits[:, :7], r"should give 2×10 logits for 2 images of digits, but gave \(2, 7\)"),
    ],
)
def test_what_are_no_logits(linear: nn.Linear, wrap: Callable[[Tensor], Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        evaluate([Returning(linear, wrap)], dataset="digits", examples=FEW, store=None)


def test_modules_that_cannot_be_copied_or_have_odd_weights(linear: nn.Linear) -> None:
    normed = nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(64, 10)))
    normed(torch.rand(2, 1, 8, 8))
    with pytest.raises(RuntimeError, match="deepcopy"):
        __import__("copy").deepcopy(normed)
    scripted = torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    for network in (normed, scripted):
        assert accuracies(network)[0] >= accuracies(network)[2]
        assert network.training
        assert all(parameter.requires_grad for parameter in network.parameters())
    integers = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Flatten(), linear), dtype=torch.qint8)
    exact = evaluate([nn.Sequential(nn.Flatten(), linear)], dataset="digits", examples=FEW, store=None)["accuracy"].iloc[0]
    rounded = evaluate([integers], dataset="digits", examples=FEW, store=None)["accuracy"].iloc[0]
    assert abs(exact - rounded) < 10


def test_under_inference_mode(linear: nn.Linear, expected: list[float]) -> None:
    with torch.inference_mode():
        assert accuracies(Pure(linear)) == expected
        assert torch.is_inference_mode_enabled()
    with torch.no_grad():
        assert accuracies(Pure(linear)) == expected


def test_no_image_right_when_clean(linear: nn.Linear) -> None:
    class Collapsed(Pure):
        def forward(self, images: Tensor) -> Any:
            return super().forward(images) * torch.nan

    assert accuracies(Collapsed(linear)) == [0, 0, 0]


@pytest.fixture
def switches() -> Iterator[None]:
    yield
    for switch in ALL_SWITCHES:
        torch._C._set_fp32_precision_setter(
            *switch, "tf32" if switch[1] in ("conv", "rnn") and switch[0] == "cuda" else "none"
        )
    torch.set_float32_matmul_precision("highest")
    for switch in (CUDA_MATMUL, CPU_MATMUL):
        torch._C._set_fp32_precision_setter(*switch, "none")
    torch.backends.cudnn.allow_tf32 = True  # else the old style says another thing than the new one from here on


def as_read() -> list[Any]:
    def reading(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except RuntimeError:
            return "mixed"

    old = (torch.get_float32_matmul_precision, torch._C._get_cublas_allow_tf32, torch._C._get_cudnn_allow_tf32)
    return [torch._C._get_fp32_precision_getter(*switch) for switch in ALL_SWITCHES] + [reading(read) for read in old]


@pytest.mark.parametrize(
    "change",
    [
        lambda: torch.set_float32_matmul_precision("medium"),
        lambda: torch.set_float32_matmul_precision("high"),
        lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
        lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
        lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
        lambda: torch._C._set_fp32_precision_setter("generic", "all", "tf32"),
        lambda: torch._C._set_fp32_precision_setter("mkldnn", "matmul", "bf16"),
        lambda: torch._C._set_fp32_precision_setter("cuda", "conv", "ieee"),
    ],
    ids=["medium", "high", "cublas", "cudnn", "matmul", "all", "cpu", "conv"],
)
def test_precision_switches_hold_nothing_up_and_stay(
    linear: nn.Linear, expected: list[float], switches: None, change: Callable[[], None]
) -> None:
    seen: list[Tensor] = []

    class Watched(Pure):
        def forward(self, images: Tensor) -> Any:
            seen.append(wide(torch.ones(64, 512) / 3))
            return super().forward(images)

    wide = nn.Linear(512, 512)
    full = wide(torch.ones(64, 512) / 3).detach()
    change()
    before = as_read()
    frame = attack([Watched(linear)], eps=0.1, dataset="digits", examples=FEW, store=None)
    assert frame["accuracy"].tolist() == expected[2:]
    assert as_read() == before
    assert all(torch.allclose(found, full, atol=1e-6) for found in seen)


def test_numpy_numbers_are_numbers(linear: nn.Linear) -> None:
    network = Pure(linear)
    plain = attack([network], eps=[0.1], steps=3, restarts=2, seed=1, dataset="digits", examples=20, store=None)
    numbers = attack(
        [network],
        eps=np.array([0.1]),  # type: ignore[arg-type]
        steps=np.int64(3),
        restarts=np.int32(2),
        seed=np.int64(1),
        dataset="digits",
        examples=np.int64(20),
        batch_size=np.int64(8),
        threads=np.int64(1),
        store=None,
    )
    assert numbers["perturbation"].tolist() == plain["perturbation"].tolist()
    assert numbers["accuracy"].tolist() == plain["accuracy"].tolist()
    assert GaussianNoise(np.float32(0.5)).delta == 0.5  # type: ignore[arg-type]
    assert PGD(0.1, steps=np.int64(3)).key() == PGD(0.1, steps=3).key()  # type: ignore[arg-type]
    assert gap([network], dataset="digits", examples=np.int64(20), store=None)["test_examples"].tolist() == [20]  # type: ignore[arg-type]


class Noisy(Pure):
    def forward(self, images: Tensor) -> Any:
        return super().forward(images + 0.05 * torch.randn_like(images))


def test_answers_that_depend_on_the_batch_or_on_chance_are_warned_of(
    linear: nn.Linear, working_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_batch = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), nn.Flatten(), linear)
    options: dict[str, Any] = {"dataset": "digits", "examples": 20, "store": None}
    frame = evaluate([by_batch, Noisy(linear), Pure(linear), Squeezing(linear)], [GaussianNoise(0.1)], **options)
    assert [words and " ".join(words.split()[:6]) for words in frame["warning"]] == [
        "its outputs depend on the batch:",
        "its outputs are random: two passes",
        None,
        None,
    ]
    assert gap([Noisy(linear)], **options)["warning"].notna().all()
    assert robustness_curve([Noisy(linear)], steps=4, **options)["warning"].notna().all()
    assert transfer_attack([Pure(linear)], [Noisy(linear)], eps=0.1, **options)["warning"].notna().all()
    checks = masking([by_batch], images=1, **options)
    assert checks["warning"].str.contains("depend on the batch").all()
    (working_folder / "noisy_nets.py").write_text(
        "import torch\nclass Noisy(torch.nn.Module):\n    def forward(self, images):\n"
        "        return torch.rand(len(images), 10)\n"
    )
    with pytest.raises(SystemExit):
        main(["evaluate", "--model", "noisy_nets:Noisy", "--dataset", "digits", "--examples", "9"])
    printed = capsys.readouterr()
    assert "(!) noisy_nets:Noisy" in printed.out
    assert "Warning: (!) noisy_nets:Noisy: its outputs are random" in printed.err
    with pytest.warns(ZsbenchWarning, match="Noisy: its outputs are random"):
        make_baseline("digits", "b.json", models=[Noisy(linear)])
