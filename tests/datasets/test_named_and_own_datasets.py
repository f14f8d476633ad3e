from __future__ import annotations

import hashlib
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from image_files import Pixels, encode, in_memory, random_pixels
from PIL import Image

from robustbench_zs.datasets import LabelledImages, load_dataset
from robustbench_zs.errors import RequestError


@pytest.fixture
def pixels() -> Pixels:
    return random_pixels()


def class_folders(folder: Path, images: dict[str, list[bytes]]) -> None:
    for name, files in images.items():
        (folder / name).mkdir(parents=True)
        for i, data in enumerate(files):
            (folder / name / f"{i:03d}.png").write_bytes(data)


def test_digits_are_split_once_and_for_all() -> None:
    digits = load_dataset("digits")
    assert (digits.classes, len(digits.train), len(digits.test)) == (10, 1437, 360)
    assert digits.test.shape == (1, 8, 8)
    images = digits.test.images()
    assert images.dtype == torch.float32
    assert (float(images.min()), float(images.max())) == (0, 1)
    # 1,797 digits, about 180 of each: a stratified fifth has about 36 of each.
    assert digits.test.labels.bincount().tolist() == pytest.approx([36] * 10, abs=2)


def test_digits_are_all_there_and_none_twice() -> None:
    from sklearn.datasets import load_digits

    digits = load_dataset("digits")
    both = torch.cat([in_memory(digits.train).pixels, in_memory(digits.test).pixels]).reshape(-1, 64).numpy()
    labels = torch.cat([digits.train.labels, digits.test.labels]).numpy()
    original = load_digits()
    found = sorted((*p.tolist(), int(y)) for p, y in zip(both, labels, strict=True))
    assert found == sorted((*map(int, p), int(y)) for p, y in zip(original.data, original.target, strict=True))


def test_fewer_examples_are_the_first_ones() -> None:
    few, all_of_them = load_dataset("digits", train_examples=7, test_examples=3), load_dataset("digits")
    assert torch.equal(in_memory(few.train).pixels, in_memory(all_of_them.train).pixels[:7])
    assert len(few.test) == 3


@pytest.mark.parametrize("examples", [0, -1, 361])
def test_more_examples_than_there_are(examples: int) -> None:
    with pytest.raises(RequestError, match=str(examples)):
        load_dataset("digits", test_examples=examples).test  # noqa: B018


def test_channel_statistics_are_those_of_numpy() -> None:
    train = in_memory(load_dataset("digits").train)
    mean, std = train.channel_statistics()
    assert mean == pytest.approx([train.pixels.numpy().mean() / 16])
    assert std == pytest.approx([train.pixels.numpy().std() / 16])


def test_digest_knows_every_pixel_and_label() -> None:
    test = in_memory(load_dataset("digits").test)
    pixels, labels = test.pixels.clone(), test.labels.clone()
    assert LabelledImages(pixels, labels, 10, 16).digest == test.digest
    pixels[5, 0, 3, 3] ^= 1
    labels[7] = (labels[7] + 1) % 10
    changed = [(pixels, test.labels, 10, 16), (test.pixels, labels, 10, 16), (test.pixels, test.labels, 11, 16)]
    changed.append((test.pixels, test.labels, 10, 255))
    digests = {LabelledImages(*values).digest for values in changed}
    assert len(digests | {test.digest}) == 5


def test_class_folders(tmp_path: Path, pixels: Pixels) -> None:
    for split, part in (("train", slice(0, 6)), ("val", slice(6, 9))):
        files = [encode(p) for p in pixels[part]]
        class_folders(tmp_path / "own" / split, {"dog": files[1:], "cat": files[:1]})
    dataset = load_dataset(str(tmp_path / "own"))
    assert dataset.class_names == ("cat", "dog")
    assert sorted(dataset.train.labels.tolist()) == [0, 1, 1, 1, 1, 1]
    cat = in_memory(dataset.train).pixels[dataset.train.labels == 0][0].numpy().transpose(1, 2, 0)
    np.testing.assert_array_equal(cat, pixels[0])
    assert len(dataset.test) == 3


def test_a_prefix_of_class_folders_holds_every_class(tmp_path: Path, pixels: Pixels) -> None:
    files = [encode(p) for p in pixels]
    for split in ("train", "test"):
        class_folders(tmp_path / split, {"a": files[:8], "b": files[8:]})
    assert load_dataset(str(tmp_path), train_examples=6).train.labels.bincount().tolist() == [4, 2]


def test_class_folders_that_differ(tmp_path: Path, pixels: Pixels) -> None:
    files = [encode(pixels[0])]
    class_folders(tmp_path / "train", {"a": files, "b": files})
    class_folders(tmp_path / "test", {"a": files})
    with pytest.raises(RequestError, match="differ"):
        load_dataset(str(tmp_path))


def test_relative_names_are_of_the_working_folder(tmp_path: Path, pixels: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = set()
    for n in range(2):
        for split in ("train", "test"):
            class_folders(tmp_path / str(n) / "own" / split, {"cat": [encode(pixels[n])], "dog": [encode(pixels[2])]})
        monkeypatch.chdir(tmp_path / str(n))
        digests.add(load_dataset("own").test.digest)
    assert len(digests) == 2


def test_images_that_change_are_read_again(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "own" / split / name).mkdir(parents=True)
            Image.new("L", (8, 8), 7).save(tmp_path / "own" / split / name / "1.png")
    first = load_dataset("own", tmp_path)
    assert load_dataset("own", tmp_path) is first
    Image.new("L", (8, 8), 9).save(tmp_path / "own" / "test" / "cat" / "1.png")
    assert in_memory(load_dataset("own", tmp_path).test).pixels.unique().tolist() == [7, 9]
    Image.new("L", (8, 8), 9).save(tmp_path / "own" / "test" / "cat" / os.fsdecode(b"\xe9.png"))  # Latin-1
    assert len(load_dataset(str(tmp_path / "own")).test) == 3


def test_an_empty_class_folder(tmp_path: Path, pixels: Pixels) -> None:
    for split in ("train", "test"):
        class_folders(tmp_path / split, {"a": [encode(pixels[0])], "b": []})
    with pytest.raises(RequestError, match="no image"):
        load_dataset(str(tmp_path)).train  # noqa: B018


@pytest.mark.parametrize("there", ["train", "test", ""])
def test_a_folder_without_a_split(tmp_path: Path, pixels: Pixels, there: str) -> None:
    if there:
        class_folders(tmp_path / there, {"a": [encode(pixels[0])]})
    with pytest.raises(RequestError, match="test" if there == "train" else "train|test"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize("name", ["imagenet9000", "", "/no/such/folder", "a\0b", "x" * 5000])
def test_a_name_that_is_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError) as error:
        load_dataset(name, tmp_path)
    assert len(str(error.value)) < 500


def test_a_data_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        load_dataset("cifar10", tmp_path / "none")


@pytest.mark.parametrize("there", [False, True], ids=["no data folder", "an empty one"])
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_what_cannot_be_downloaded_says_both_ways_and_leaves_what_was_there(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, there: bool
) -> None:
    if there:
        (working_folder / "data").mkdir()
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # the discard port: refused at once
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(RequestError) as error:
        load_dataset(name)
    for words in ("internet", "data directory", "Parquet", name):
        assert words in str(error.value)
    assert [path.name for path in working_folder.rglob("*")] == (["data"] if there else [])


@pytest.mark.parametrize("root", ["mnist", ""], ids=["ours", "torchvision's"])
def test_archives_of_torchvision_are_read_without_a_network(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    """MNIST's own format: big-endian sizes, then the pixels."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    raw = working_folder / "data" / root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    for split in ("train", "t10k"):
        (raw / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, 20, 28, 28) + pixels.tobytes())
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, 20) + bytes(range(10)) * 2)
    mnist = load_dataset("mnist")
    np.testing.assert_array_equal(in_memory(mnist.test).pixels[:, 0].numpy(), pixels)
    assert mnist.train.labels.tolist() == list(range(10)) * 2


@pytest.mark.parametrize("root", ["cifar10", ""], ids=["ours", "torchvision's"])
def test_batches_of_torchvision_are_read_if_their_checksums_match(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    """Ten images in each of its six files, whose checksums stand in the place of the published ones."""
    from torchvision.datasets import CIFAR10

    folder = working_folder / "data" / root / CIFAR10.base_folder
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 3072), dtype=np.uint8)
    names = [name for name, _ in CIFAR10.train_list + CIFAR10.test_list]
    for name, part in zip(names, np.split(pixels, 6), strict=True):
        (folder / name).write_bytes(pickle.dumps({"data": part, "labels": list(range(10))}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(RequestError, match="could not be downloaded"):
        load_dataset("cifar10")
    sums = [[name, hashlib.md5((folder / name).read_bytes()).hexdigest()] for name in names]
    meta = hashlib.md5((folder / "batches.meta").read_bytes()).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(CIFAR10, "test_list", sums[5:])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": meta})
    cifar = load_dataset("cifar10")
    np.testing.assert_array_equal(in_memory(cifar.train).pixels.numpy(), pixels[:50].reshape(50, 3, 32, 32))
    np.testing.assert_array_equal(in_memory(cifar.test).pixels.numpy(), pixels[50:].reshape(10, 3, 32, 32))
    assert (cifar.class_names, cifar.test.labels.tolist()) == (tuple("abcdefghij"), list(range(10)))


@pytest.mark.parametrize(
    ("pixels", "labels", "classes"),
    [
        (torch.full((2, 1, 8, 8), 1.5), torch.zeros(2).long(), 2),
        (torch.full((2, 1, 8, 8), torch.nan), torch.zeros(2).long(), 2),
        (torch.zeros(2, 1, 8, 8).long(), torch.zeros(2).long(), 2),
        (torch.zeros(2, 1, 8, 8).byte(), torch.eye(2).long(), 2),
        (torch.zeros(2, 1, 8, 8).byte(), torch.zeros(2), 2),
        (torch.zeros(2, 8, 8).byte(), torch.zeros(2).long(), 2),
        (torch.zeros(2, 1, 8, 8).byte(), torch.zeros(3).long(), 2),
        (torch.zeros(0, 1, 8, 8).byte(), torch.zeros(0).long(), 2),
        (torch.zeros(2, 1, 8, 8).byte(), torch.tensor([0, 2]), 2),
        (torch.zeros(2, 1, 8, 8).byte(), torch.tensor([-1, 0]), 2),
        (torch.zeros(2, 1, 8, 8).byte(), torch.zeros(2).long(), 0),
    ],
)
def test_what_are_no_labelled_images(pixels: torch.Tensor, labels: torch.Tensor, classes: int) -> None:
    with pytest.raises(RequestError):
        LabelledImages(pixels, labels, classes)
