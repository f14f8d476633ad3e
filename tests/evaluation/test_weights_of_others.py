"""Weights as training scripts save them, and networks by all the names that they go by."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from robustbench_zs.cli.main import main
from robustbench_zs.datasets import load_dataset
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import Model, evaluate
from robustbench_zs.evaluation.model import NORMALIZATIONS
from robustbench_zs.evaluation.weights import load_weights
from robustbench_zs.perturbations import draws

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

RESNET = '''
import torch
from torch import nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.more = outputs - inputs

    def forward(self, x):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.more:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return F.relu(out + x)


class ResNet20(nn.Module):
    """He et al. 2016a, with narrow layers."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        widths, blocks = [4, 8, 16], []
        for stage, width in enumerate(widths):
            for place in range(3):
                first = stage > 0 and place == 0
                blocks.append(Block(widths[stage - 1] if first else width, width, 2 if first else 1))
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(16, num_classes)

    def forward(self, x):
        return self.linear(self.blocks(F.relu(self.bn1(self.conv1(x)))).mean((2, 3)))


def resnet20():
    return ResNet20()
'''


@pytest.fixture
def own(working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (working_folder / "file.py").write_text(RESNET)
    monkeypatch.delitem(sys.modules, "file", raising=False)
    return working_folder


def trained(own: Path, images: Tensor, labels: Tensor) -> nn.Module:
    """A resnet20 that takes normalized images and has learned a little, in DataParallel as the public ones."""
    torch.manual_seed(0)
    network = nn.DataParallel(Model("file.py:resnet20").load().train())
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in NORMALIZATIONS["cifar10"])
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for rows in torch.arange(len(images)).repeat(3).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network((images[rows] - mean) / std), labels[rows]).backward()
        optimizer.step()
    saved = {"state_dict": network.state_dict(), "best_prec1": 91.7, "epoch": 200}
    torch.save(saved, own / "resnet20.pth")
    return network.eval()


def pictures(folder: Path) -> Path:
    """Class folders of 32×32 PNGs: each class has a colour of its own under noise."""
    from PIL import Image

    generator = np.random.default_rng(0)
    colours = generator.uniform(60, 195, (10, 1, 1, 3))
    for split, count in (("train", 64), ("test", 4)):
        for label, colour in enumerate(colours):
            (folder / split / str(label)).mkdir(parents=True)
            for n in range(count):
                pixels = generator.normal(colour, 40, (32, 32, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / str(label) / f"{n}.png")
    return folder


@pytest.mark.parametrize("name", ["cifar10", "pictures"])
def test_a_public_checkpoint(own: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Its accuracies, clean and under PGD, are those of a direct computation; foolbox starts where our own PGD does."""
    import foolbox
    import torchattacks

    if name == "cifar10" and not (DATA / name).is_dir():
        pytest.skip("CIFAR-10 is not in ../shared/data; the pictures stand for it")
    folder = DATA if name == "cifar10" else pictures(own / name).parent
    data = load_dataset(name, folder, train_examples=640, test_examples=40)
    parallel = trained(own, data.train.images(), data.train.labels)
    images, labels, eps = data.test.images(), data.test.labels, 2 / 255

    def accuracies(*options: str) -> tuple[float, float]:
        request = (
            "attack --pgd --model file.py:resnet20 --weights resnet20.pth --normalize cifar10 --eps 2/255 --examples 40"
        )
        with pytest.raises(SystemExit) as end:
            main([*request.split(), "--dataset", name, "--data-dir", str(folder), "--format", "json", *options])
        printed = capsys.readouterr()
        assert end.value.code == 0, printed.err
        (row,) = json.loads(printed.out)
        return row["clean_accuracy"], row["accuracy"]

    class Normalized(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            mean, std = (torch.tensor(v).view(-1, 1, 1) for v in NORMALIZATIONS["cifar10"])
            return (images - mean) / std

    class FromOurStart(foolbox.attacks.LinfPGD):  # type: ignore[misc]
        def get_random_start(self, x0: Any, epsilon: float) -> Any:
            start = draws.uniform(1, draws.RANDOM_START, torch.arange(40)[right], tuple(x0.shape[1:]))
            return x0 + (2 * start - 1) * epsilon

    def standing(changed: Tensor) -> float:
        """Percent of all images, of which only those that are right when clean are attacked."""
        assert float((changed - images[right]).abs().max()) <= eps + 1e-6
        return 100 * int((network(changed).argmax(1) == labels[right]).sum()) / 40

    network = nn.Sequential(Normalized(), parallel).eval().requires_grad_(False)
    right = network(images).argmax(1) == labels
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    by_foolbox = standing(
        FromOurStart(steps=10, abs_stepsize=eps / 4).run(
            model, images[right], foolbox.criteria.Misclassification(labels[right]), epsilon=eps
        )
    )
    torch.manual_seed(int(np.random.SeedSequence([1, 0, int(right.nonzero()[0])]).generate_state(1)[0]))
    by_torchattacks = standing(torchattacks.PGD(network, eps=eps, alpha=eps / 4, steps=10)(images[right], labels[right]))

    clean = 100 * float(right.float().mean())
    assert accuracies("--last", "--directions", "float32") == pytest.approx((clean, by_foolbox), abs=1e-4)
    assert accuracies("--engine", "foolbox") == pytest.approx((clean, by_foolbox), abs=1e-4)
    assert accuracies("--engine", "torchattacks") == pytest.approx((clean, by_torchattacks), abs=1e-4)
    assert accuracies()[1] <= min(by_foolbox, by_torchattacks) < clean


def test_normalized_by_name_by_numbers_and_inside_are_one(own: Path) -> None:
    (own / "inside.py").write_text(
        "from file import ResNet20\nimport torch\n"
        "class Inside(ResNet20):\n"
        "    def forward(self, x):\n"
        f"        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in {NORMALIZATIONS['imagenet']})\n"
        "        return super().forward((x - mean) / std)\n"
    )
    torch.manual_seed(3)
    network = Model("file.py:resnet20").load()
    torch.save(network.state_dict(), "w.pt")
    for split in ("train", "test"):
        for name in "abcdefghij":
            (own / "images" / split / name).mkdir(parents=True)
            from PIL import Image

            pixels = (torch.rand(16, 16, 3) * 255).byte().numpy()
            Image.fromarray(pixels).save(own / "images" / split / name / "1.png")
    mean, std = NORMALIZATIONS["imagenet"]
    models = [
        Model("file.py:resnet20", "w.pt", normalize="imagenet"),
        Model("file.py:resnet20", "w.pt", mean=mean, std=std),
        Model("file.py:resnet20", "w.pt", mean=np.array(mean), std=np.array(std)),  # type: ignore[arg-type]
        Model("inside.py:Inside", "w.pt"),
    ]
    images = load_dataset("images", own).test.images()
    from robustbench_zs.evaluation import Subject

    with torch.no_grad():
        first, *others = (Subject.of(model).module(images) for model in models)
        plain = Subject.of(Model("file.py:resnet20", "w.pt")).module(images)
    for other in others:
        assert torch.allclose(first, other, atol=1e-5)
    assert not torch.allclose(first, plain, atol=1e-2)
    assert evaluate(models, dataset="images", data_dir=own, store=None)["accuracy"].nunique() == 1


NETWORK = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 10))


def renamed(prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in NETWORK.state_dict().items()}


@pytest.mark.parametrize(
    "saved",
    [
        renamed(""),
        renamed("module."),
        renamed("_orig_mod."),
        renamed("module._orig_mod.model."),
        {"state_dict": renamed("model."), "optimizer": {"lr": 0.1}, "args": {"epochs": 3}},
        {"model": renamed(""), "epoch": 7},
        {"net": renamed("module."), "acc": 95.1, "epoch": 199},
        {"ema": {"module": renamed("")}},
        {name: tensor for name, tensor in renamed("").items() if not name.endswith("num_batches_tracked")},
    ],
    ids=["plain", "parallel", "compiled", "three", "lightning", "model", "net", "ema", "old batch norm"],
)
@pytest.mark.parametrize("old", [False, True], ids=["zip", "before torch 1.6"])
def test_weights_are_found_wherever_they_lie(tmp_path: Path, saved: dict[str, Any], old: bool) -> None:
    torch.save(saved, tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 10))
    load_weights(module, tmp_path / "w.pth", "it")
    for name, tensor in NETWORK.state_dict().items():
        assert torch.equal(module.state_dict()[name], tensor)


def test_a_wrapped_network_takes_plain_weights(tmp_path: Path) -> None:
    save_file(renamed(""), tmp_path / "w.safetensors")
    load_weights(nn.DataParallel(NETWORK), tmp_path / "w.safetensors", "it")


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight


def test_tied_weights_that_safetensors_saved_once(tmp_path: Path) -> None:
    saved, loaded = Tied(), Tied()
    save_model(saved, str(tmp_path / "w.safetensors"))
    load_weights(loaded, tmp_path / "w.safetensors", "it")
    assert torch.equal(saved.second.weight, loaded.second.weight)
    assert torch.equal(saved.second.weight, loaded.first.weight)


def test_int8_weights_of_a_parallel_network(tmp_path: Path) -> None:
    saved, loaded = (
        torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), dtype=torch.qint8)
        for _ in range(2)
    )
    images = torch.rand(3, 1, 8, 8)
    torch.save({"state_dict": nn.DataParallel(saved).state_dict()}, tmp_path / "w.pth")
    assert not torch.equal(saved(images), loaded(images))
    load_weights(loaded, tmp_path / "w.pth", "it")
    assert torch.equal(saved(images), loaded(images))


class WithExtraState(nn.Linear):
    def __init__(self, state: Any) -> None:
        super().__init__(3, 2)
        self.state = state

    def get_extra_state(self) -> Any:
        return self.state

    def set_extra_state(self, state: Any) -> None:
        self.state = state


def test_extra_state_comes_with_the_weights(tmp_path: Path) -> None:
    """safetensors hold it if it is a tensor; what a file lacks of it is named."""
    file, numbers = tmp_path / "w", WithExtraState(torch.tensor([1, 2]))
    save_file(numbers.state_dict(), file)
    loaded = WithExtraState(torch.zeros(2))
    load_weights(loaded, file, "it")
    assert loaded.state.tolist() == [1, 2]
    torch.save(nn.DataParallel(WithExtraState({"version": 3})).state_dict(), file)
    load_weights(loaded, file, "it")
    assert loaded.state == {"version": 3}
    save_file({"weight": numbers.weight, "bias": numbers.bias}, file)
    with pytest.raises(RequestError, match=r"missing: _extra_state$"):
        load_weights(loaded, file, "it")


class Harmful:
    def __reduce__(self) -> Any:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ({"state_dict": renamed(""), "args": Harmful()}, "reading it would execute code"),
        (NETWORK, "reading it would execute code"),
        ({**renamed("module."), "module.extra": torch.zeros(1)}, "unexpected: extra"),
        ({name: t for name, t in renamed("").items() if "3." not in name}, r"missing: 3\.weight, 3\.bias$"),
        ({"0.weight": torch.zeros(2, 1, 3, 3)}, r"missing: 0\.bias, 1\.weight, .* and 2 more"),
        ({**renamed(""), "3.bias": torch.zeros(7)}, "size mismatch for 3.bias"),
        ({"epoch": 3}, "contains a dict with the keys epoch: the weights should be under one of state_dict"),
        ([1, 2], "contains list"),
    ],
    ids=["code", "a whole network", "unexpected", "missing", "many missing", "shape", "no weights", "a list"],
)
def test_weights_that_are_refused(working_folder: Path, saved: Any, words: str) -> None:
    torch.save(saved, "w.pth")
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 10))
    with pytest.raises(RequestError, match=words):
        load_weights(module, Path("w.pth"), "it")
    assert not Path("executed").exists()


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before torch 1.6"])
def test_files_that_are_broken(tmp_path: Path, old: bool) -> None:
    file = tmp_path / "w.pth"
    torch.save(NETWORK.state_dict(), file, _use_new_zipfile_serialization=not old)
    whole = file.read_bytes()
    for part in (b"", b"PKG 1", b"\x80", whole[:20], whole[: len(whole) // 2], whole[:-1]):
        file.write_bytes(part)
        with pytest.raises(RequestError, match=r"cannot be read as a file of weights: \S|neither by safetensors nor"):
            load_weights(NETWORK, file, "it")


def test_names_of_libraries_and_files(own: Path) -> None:
    made = Model("torchvision:resnet18", classes=7).load()
    assert made(torch.zeros(1, 3, 32, 32)).shape == (1, 7)
    with pytest.raises(RequestError, match="torchvision:nothing failed"):
        Model("torchvision:nothing").load()
    (own / "below").mkdir()
    (own / "below" / "beside.py").write_text("SIDE = 5\n")
    (own / "below" / "net.py").write_text(
        "from beside import SIDE\nfrom torch import nn\ndef net(): return nn.Linear(SIDE, 2)\n"
    )
    assert Model("below/net.py:net").load()(torch.zeros(1, 5)).shape == (1, 2)
    assert Model(f"{own}/below/net.py:net").load()(torch.zeros(1, 5)).shape == (1, 2)
    with pytest.raises(RequestError, match=r"there is no file nowhere\.py"):
        Model("nowhere.py:net").load()


def test_networks_of_timm() -> None:
    timm = pytest.importorskip("timm", reason="timm is not among the dependencies")
    found, images = Model("timm:resnet18", classes=7).load(), torch.rand(2, 3, 32, 32)
    torch.manual_seed(0)
    with torch.no_grad():
        assert torch.equal(found(images), timm.create_model("resnet18", num_classes=7).eval()(images))


def test_without_timm(working_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--model", "timm:resnet18", "--dataset", "digits"])
    assert end.value.code == 2
    assert capsys.readouterr().err == "Error: timm:resnet18 needs the package timm: run `pip install timm`\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"normalize": "mnist"}, "one of cifar10, imagenet"),
        ({"mean": (0.5,)}, "must be given together"),
        ({"mean": (0.5,), "std": (0.5, 0.5)}, "must be given together"),
        ({"mean": (0.5,), "std": (0.0,)}, "above 0"),
        ({"mean": (0.5,), "std": (1e-320,)}, "above 0"),
        ({"mean": (float("nan"),), "std": (1.0,)}, "finite"),
        ({"mean": (1e39,), "std": (1.0,)}, "finite"),
        ({"mean": (0.5,), "std": (1.0,), "normalize": "cifar10"}, "either"),
    ],
    ids=str,
)
def test_normalizations_that_are_none(options: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        Model("a:b", **options)


def test_a_normalization_of_other_channels(own: Path) -> None:
    (own / "flat.py").write_text("from torch import nn\ndef net(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n")
    with pytest.raises(RequestError, match="have 3 channels, but the images have 1"):
        evaluate([Model("flat.py:net", normalize="cifar10")], dataset="digits", examples=9, store=None)
