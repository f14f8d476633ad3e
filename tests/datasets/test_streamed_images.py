from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from robustbench_zs.datasets import load_dataset
from robustbench_zs.datasets.streamed import ImageFiles
from robustbench_zs.errors import RequestError
from robustbench_zs.training.feed import FileFeed
from robustbench_zs.training.streams import stream


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """A folder that holds imagenet/train and val: two classes, images of several sizes, one of them grey."""
    draw = np.random.default_rng(0)
    for split, images in (("train", 7), ("val", 2), ("test", 1)):
        for name in ("n01440764", "n01443537"):
            folder = tmp_path / "imagenet" / split / name
            folder.mkdir(parents=True)
            for number in range(images):
                shape = (40 + 9 * number, 60 - 5 * number, 3) if number != 1 else (50, 50)
                Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{name}_{number}.JPEG")
    return tmp_path


def files(folder: Path, split: str = "train", size: int = 16) -> ImageFiles:
    found = load_dataset("imagenet", folder, image_size=size).split(split)
    assert isinstance(found, ImageFiles)
    return found


def test_imagenet_is_read_from_its_class_folders(imagenet: Path) -> None:
    dataset = load_dataset("imagenet", imagenet)
    assert (dataset.name, dataset.classes, dataset.class_names) == ("imagenet", 2, ("n01440764", "n01443537"))
    assert (len(dataset.train), len(dataset.test), dataset.train.shape) == (14, 4, (3, 224, 224))
    assert dataset.train.first(4).labels.tolist() == [0, 1, 0, 1]
    assert dataset.train.channel_statistics() == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_an_image_is_that_of_torchvisions_usual_transforms(imagenet: Path) -> None:
    from torchvision import transforms

    usual = transforms.Compose([transforms.Resize(18), transforms.CenterCrop(16), transforms.ToTensor()])
    data = files(imagenet)
    images = data.images(torch.tensor([3, 0, 2]))
    for image, index in zip(images, (3, 0, 2), strict=True):
        expected = usual(Image.open(data.root / data.paths[index]).convert("RGB"))
        torch.testing.assert_close(image, expected, rtol=0, atol=0)
    assert data.images().shape == (14, 3, 16, 16)
    torch.testing.assert_close(data.images(slice(2, 4)), data.images(torch.tensor([2, 3])), rtol=0, atol=0)


def test_a_random_crop_belongs_to_seed_epoch_and_image(imagenet: Path) -> None:
    data = files(imagenet)
    before = torch.random.get_rng_state()
    steps = torch.randperm(14, generator=stream(0, "order")).split(6)

    def epoch(number: int, seed: int = 0, workers: int = 0, replicas: int = 1) -> torch.Tensor:
        feed = FileFeed(data, "resized-crop-flip", seed, torch.device("cpu"), workers)
        shares = [share for step in feed.shares(number, steps, replicas, range(replicas)) for share in step]
        labels = torch.cat([labels for _, labels in shares])
        assert torch.equal(labels, data.labels[torch.cat(steps)])
        return torch.cat([images for images, _ in shares])

    first = epoch(0)
    assert first.shape == (14, 3, 16, 16)
    assert torch.equal(first, epoch(0, workers=2))
    assert torch.equal(first, epoch(0, replicas=2))
    assert not torch.equal(first, epoch(1))
    assert not torch.equal(first, epoch(0, seed=1))
    assert torch.equal(before, torch.random.get_rng_state())


def test_worker_processes_go_on_with_the_next_epoch(imagenet: Path) -> None:
    data = files(imagenet)
    steps = [torch.tensor([0, 1, 2]), torch.tensor([3, 4])]
    here, there = (FileFeed(data, "resized-crop-flip", 0, torch.device("cpu"), workers) for workers in (0, 2))
    for number in range(3):
        pairs = zip(here.shares(number, steps, 1, range(1)), there.shares(number, steps, 1, range(1)), strict=True)
        assert all(torch.equal(a[0][0], b[0][0]) for a, b in pairs)


def test_statistics_of_a_folder_of_the_users_own(imagenet: Path) -> None:
    data = load_dataset(str(imagenet / "imagenet"), image_size=16).train
    pixels = data.images().numpy()
    mean, std = data.channel_statistics()
    assert mean == pytest.approx(pixels.mean((0, 2, 3)), abs=1e-6)
    assert std == pytest.approx(pixels.std((0, 2, 3)), abs=1e-6)


def test_the_digest_knows_bytes_names_labels_and_size(imagenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = files(imagenet)
    others = [replace(data, image_size=17), replace(data, labels=data.labels.flip(0)), replace(data, paths=data.paths[::-1])]
    digests = {data.digest, replace(data).digest, *(other.digest for other in others)}
    assert len(digests) == 4
    path = data.root / data.paths[0]
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert replace(data).digest not in digests
    # As with more than 1 GiB: names and sizes only.
    monkeypatch.setattr("robustbench_zs.datasets.streamed.HASHED_BYTES", 0)
    known = replace(data).digest
    content[-3] ^= 1
    path.write_bytes(content)
    assert replace(data).digest == known
    path.write_bytes(content + b"x")
    assert replace(data).digest != known


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_is_no_image_is_named_in_one_sentence(imagenet: Path, workers: int) -> None:
    data = files(imagenet)
    (data.root / data.paths[1]).write_bytes(b"no image")
    feed = FileFeed(data, "none", 0, torch.device("cpu"), workers)
    with pytest.raises(RequestError) as caught:
        list(feed.shares(0, [torch.tensor([0, 1])], 1, range(1)))
    assert str(caught.value) == f"{data.root / data.paths[1]} is not an image that can be read (UnidentifiedImageError)"
    with pytest.raises(RequestError, match="not an image"):
        data.images()


def test_what_is_refused(imagenet: Path) -> None:
    with pytest.raises(RequestError, match="ImageNet is not in"):
        load_dataset("imagenet", imagenet / "imagenet")
    with pytest.raises(RequestError, match="only class folders and imagenet"):
        load_dataset("digits", image_size=16)
    with pytest.raises(RequestError, match="between 8 and 4096"):
        load_dataset("imagenet", imagenet, image_size=7)
    with pytest.raises(RequestError, match="resized-crop-flip"):
        FileFeed(files(imagenet), "crop-flip", 0, torch.device("cpu"))
    (imagenet / "imagenet" / "train" / "n01443538").mkdir()
    (imagenet / "imagenet" / "val" / "n01443538").mkdir()
    with pytest.raises(RequestError, match="contains no image"):
        load_dataset("imagenet", imagenet, train_examples=3).train  # noqa: B018
