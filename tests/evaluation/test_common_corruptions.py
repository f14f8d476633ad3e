from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_files import encode, write_parquet
from torch import Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import corruptions, mean_corruption_error
from robustbench_zs.perturbations.corruptions import (
    CORRUPTIONS,
    IMAGES,
    SEVERITIES,
    GeneratedCorruption,
    PublishedCorruption,
)

EXAMPLES = 20
STEP = 25
"""Images of class k are grey of value k × STEP."""


class Brightness(nn.Module):
    """Reads the class of an image from its brightness, without an error."""

    def forward(self, images: Tensor) -> Tensor:
        classes = torch.arange(10) * STEP / 255
        return -((images.flatten(1).mean(1, keepdim=True) - classes) ** 2)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Twenty images of ten classes, and published arrays in which at severity s the first 4s changed their class."""
    folder = tmp_path_factory.mktemp("data")
    labels = [k % 10 for k in range(EXAMPLES)]
    greys = [np.full((32, 32, 3), STEP * k, np.uint8) for k in labels]
    for split in ("train", "test"):
        write_parquet(folder / "cifar10" / f"{split}.parquet", [encode(g) for g in greys], labels)
    there = folder / "CIFAR-10-C"
    there.mkdir()
    all_labels = np.zeros(len(SEVERITIES) * IMAGES, np.uint8)
    for severity in SEVERITIES:
        all_labels[(severity - 1) * IMAGES :][:EXAMPLES] = labels
    np.save(there / "labels.npy", all_labels)
    for corruption in CORRUPTIONS:
        array = np.lib.format.open_memmap(
            there / f"{corruption}.npy", mode="w+", dtype=np.uint8, shape=(len(SEVERITIES) * IMAGES, 32, 32, 3)
        )
        for severity in SEVERITIES:
            for image, k in enumerate(labels):
                wrong = image < 4 * severity and corruption != "fog"
                array[(severity - 1) * IMAGES + image] = STEP * ((k + wrong) % 10)
        array.flush()
    yield folder
    for path in there.iterdir():
        path.unlink()


def test_the_mean_corruption_error_of_published_images(data_dir: Path) -> None:
    cells = corruptions([Brightness()], dataset="cifar10", data_dir=data_dir, store=None, threads=1)
    assert len(cells) == 75
    one = cells[(cells["corruption"] == "snow") & (cells["severity"] == 3)]
    assert one["accuracy"].item() == 40
    assert one["perturbation"].item() == "snow(severity=3)"
    (row,) = mean_corruption_error(cells).to_dict("records")
    assert row["clean_error"] == 0
    assert row["mean_corruption_error"] == pytest.approx(60 * 14 / 15)  # fog changes nothing
    assert row["relative_error"] == row["mean_corruption_error"]
    assert row["errors"]["fog"] == 0
    assert row["errors"]["snow"] == pytest.approx(60)
    assert (row["images"], row["examples"]) == ("published", EXAMPLES)


def test_without_all_of_them_there_is_no_mean_corruption_error(data_dir: Path) -> None:
    cells = corruptions(
        [Brightness()], types=["snow"], severities=[1, 5], dataset="cifar10", data_dir=data_dir, store=None, threads=1
    )
    (row,) = mean_corruption_error(cells).to_dict("records")
    assert row["mean_corruption_error"] is None or np.isnan(row["mean_corruption_error"])
    assert row["errors"] == {"snow": pytest.approx(60)}


def test_keys_tell_the_images_apart(data_dir: Path) -> None:
    folder = str(data_dir / "CIFAR-10-C")
    keys = [PublishedCorruption("snow", s, folder).key()["images"] for s in (1, 2)]
    assert keys[0] != keys[1]
    assert PublishedCorruption("snow", 1, folder).key() != GeneratedCorruption("snow", 1).key()
    assert keys[0] == PublishedCorruption("frost", 1, folder).key()["images"]  # the same pixels here, under another name
    assert PublishedCorruption("snow", 1, folder).label != GeneratedCorruption("snow", 1).label


def test_arrays_in_another_order_or_form_are_refused(data_dir: Path, tmp_path: Path) -> None:
    def refused(words: str) -> None:
        options: dict[str, Any] = {"types": ["snow"], "severities": [1], "store": None, "threads": 1}
        with pytest.raises(RequestError, match=words):
            corruptions([Brightness()], dataset="cifar10", data_dir=tmp_path, **options)

    (tmp_path / "cifar10").symlink_to(data_dir / "cifar10")
    there = tmp_path / "cifar10-c"
    refused("there is no file .*labels.npy")
    there.mkdir()
    labels = np.load(data_dir / "CIFAR-10-C" / "labels.npy")
    np.save(there / "labels.npy", labels[::-1])
    refused("not those of the test images")
    np.save(there / "labels.npy", labels)
    refused("there is no file .*snow.npy")
    (there / "snow.npy").write_bytes(b"no array")
    refused("not a NumPy array")
    np.save(there / "snow.npy", np.zeros((3, 32, 32, 3), np.uint8))
    refused("should hold 50000×32×32×3 numbers")
    np.save(there / "snow.npy", np.array([{"a": 1}]), allow_pickle=True)
    refused("not a NumPy array")


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_generated_corruptions_belong_to_the_image(corruption: str) -> None:
    pytest.importorskip("imagecorruptions")
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)).mul(255).round() / 255
    attack, nothing = GeneratedCorruption(corruption, 3), nn.Identity()
    state = np.random.get_state(legacy=False)
    made = attack(nothing, images, torch.zeros(4), torch.arange(4))
    assert str(np.random.get_state(legacy=False)) == str(state)
    assert made.shape == images.shape
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    assert float((made - images).abs().mean()) > 0.01
    alone = attack(nothing, images[2:3], torch.zeros(1), torch.tensor([2]))
    torch.testing.assert_close(alone, made[2:3], rtol=0, atol=0)


def test_generated_corruptions_need_32_pixels() -> None:
    pytest.importorskip("imagecorruptions")
    with pytest.raises(RequestError, match="at least 32×32 pixels"):
        GeneratedCorruption("fog", 1)(nn.Identity(), torch.zeros(1, 1, 28, 28), torch.zeros(1), torch.zeros(1))
    grey = GeneratedCorruption("contrast", 5)(nn.Identity(), torch.rand(1, 1, 32, 40), torch.zeros(1), torch.tensor([0]))
    assert grey.shape == (1, 1, 32, 40)


@pytest.mark.parametrize(("corruption", "severity"), [("rain", 1), ("fog", 0), ("fog", 6), ("fog", True), ("fog", 1.5)])
def test_unknown_corruptions_are_refused(corruption: str, severity: int) -> None:
    with pytest.raises(RequestError):
        GeneratedCorruption(corruption, severity)
    with pytest.raises(RequestError):
        PublishedCorruption(corruption, severity, ".")
