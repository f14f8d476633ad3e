from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import Pixels, encode, in_memory, random_pixels, write_parquet

from robustbench_zs.datasets import load_dataset
from robustbench_zs.errors import RequestError

LABELS = [0, 1, 2] * 4


@pytest.fixture
def pixels() -> Pixels:
    return random_pixels()


def both_splits(folder: Path, pixels: Pixels, **layout: Any) -> None:
    for split in ("train", "test"):
        write_parquet(folder / f"{split}-00000-of-00001.parquet", [encode(p) for p in pixels], LABELS, **layout)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("plain", [False, True], ids=["struct", "binary"])
@pytest.mark.parametrize("columns", [("img", "label"), ("image", "fine_label"), ("picture", "what")])
def test_pixels_and_labels_come_back(
    tmp_path: Path, pixels: Pixels, kind: str, plain: bool, columns: tuple[str, str]
) -> None:
    half = len(pixels) // 2
    for shard in (0, 1):
        part = slice(shard * half, (shard + 1) * half)
        write_parquet(
            tmp_path / "own" / f"train-{shard:05d}-of-00002.parquet",
            [encode(p, kind) for p in pixels[part]],
            LABELS[part],
            columns,
            plain,
        )
    write_parquet(tmp_path / "own" / "validation.parquet", [encode(pixels[0], kind)], [1], columns, plain)
    dataset = load_dataset("own", tmp_path)
    assert (dataset.name, dataset.classes) == ("own", 3)
    np.testing.assert_array_equal(in_memory(dataset.train).pixels.numpy().transpose(0, 2, 3, 1), pixels)
    assert dataset.train.labels.tolist() == LABELS
    assert dataset.test.labels.tolist() == [1]
    assert float(dataset.train.images().max()) == pixels.max() / 255


def test_class_names_are_read_from_the_schema(tmp_path: Path, pixels: Pixels) -> None:
    both_splits(tmp_path / "own" / "data", pixels, names=["cat", "dog", "owl", "fox"])
    dataset = load_dataset(str(tmp_path / "own"))
    assert dataset.class_names == ("cat", "dog", "owl", "fox")
    assert dataset.classes == 4


def test_fine_labels_come_before_coarse_ones(tmp_path: Path, pixels: Pixels) -> None:
    both_splits(tmp_path / "own", pixels, columns=("img", "fine_label"), extra={"coarse_label": [0] * 12})
    assert load_dataset("own", tmp_path).train.labels.tolist() == LABELS


def test_grey_images_have_one_channel(tmp_path: Path, pixels: Pixels) -> None:
    both_splits(tmp_path / "own", pixels[..., 0])
    assert load_dataset("own", tmp_path).train.shape == (1, 9, 11)


def test_a_limit_spares_the_images_behind_it(tmp_path: Path, pixels: Pixels) -> None:
    images = [*(encode(p) for p in pixels[:5]), b"not an image"]
    for split in ("train", "test"):
        write_parquet(tmp_path / "own" / f"{split}.parquet", images, LABELS[:6])
    assert len(load_dataset("own", tmp_path, train_examples=5).train) == 5
    with pytest.raises(RequestError, match="image 5"):
        load_dataset("own", tmp_path).train  # noqa: B018


def test_named_data_must_have_their_shape(tmp_path: Path, pixels: Pixels) -> None:
    both_splits(tmp_path / "cifar10", pixels)
    with pytest.raises(RequestError, match=r"3×9×11.*3×32×32"):
        load_dataset("cifar10", tmp_path).train  # noqa: B018


@pytest.mark.parametrize("cut", [0, 4, 100, -1, -100])
def test_a_truncated_file_is_named(tmp_path: Path, pixels: Pixels, cut: int) -> None:
    both_splits(tmp_path / "own", pixels)
    path = tmp_path / "own" / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(RequestError, match=r"train-00000.*truncated") as error:
        load_dataset("own", tmp_path).train  # noqa: B018
    assert "\n" not in str(error.value)


def test_a_damaged_page_is_named(tmp_path: Path, pixels: Pixels) -> None:
    both_splits(tmp_path / "own", pixels)
    path = tmp_path / "own" / "train-00000-of-00001.parquet"
    data = bytearray(path.read_bytes())
    data[4:3000] = b"\xff" * 2996
    path.write_bytes(data)
    with pytest.raises(RequestError, match="train-00000"):
        load_dataset("own", tmp_path).train  # noqa: B018


def test_a_missing_shard_is_noticed(tmp_path: Path, pixels: Pixels) -> None:
    both_splits(tmp_path / "own", pixels)
    (tmp_path / "own" / "train-00000-of-00001.parquet").rename(tmp_path / "own" / "train-00000-of-00003.parquet")
    with pytest.raises(RequestError, match="1 of 3"):
        load_dataset("own", tmp_path).train  # noqa: B018


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([-1, *LABELS[1:]], "negative"),
        ([None, *LABELS[1:]], "no label"),
        ([2**62, *LABELS[1:]], "100000 classes"),
        ([0.5] * 12, "no label column"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, pixels: Pixels, labels: list[object], words: str) -> None:
    for split in ("train", "test"):
        write_parquet(tmp_path / "own" / f"{split}.parquet", [encode(p) for p in pixels], labels)
    with pytest.raises(RequestError, match=words):
        load_dataset("own", tmp_path).train  # noqa: B018


@pytest.mark.parametrize("image", [None, b"", b"text", b"\x89PNG\r\n\x1a\n"], ids=["null", "empty", "text", "head only"])
def test_images_that_are_none(tmp_path: Path, pixels: Pixels, image: bytes | None) -> None:
    for split in ("train", "test"):
        write_parquet(tmp_path / "own" / f"{split}.parquet", [encode(pixels[0]), image], [0, 1])
    with pytest.raises(RequestError, match=r"image 1 of train\.parquet"):
        load_dataset("own", tmp_path).train  # noqa: B018


def test_no_rows_at_all(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_parquet(tmp_path / "own" / f"{split}.parquet", [], [])
    with pytest.raises(RequestError, match="no image"):
        load_dataset("own", tmp_path).train  # noqa: B018


def test_images_of_two_sizes(tmp_path: Path, pixels: Pixels) -> None:
    images = [encode(pixels[0]), encode(pixels[0][:8])]
    for split in ("train", "test"):
        write_parquet(tmp_path / "own" / f"{split}.parquet", images, [0, 1])
    with pytest.raises(RequestError, match=r"11×8.*11×9"):
        load_dataset("own", tmp_path).train  # noqa: B018


@pytest.mark.parametrize(("side", "words"), [(7, "at least 8×8"), (1025, "1024")])
def test_images_too_small_or_too_large(tmp_path: Path, side: int, words: str) -> None:
    image = encode(np.zeros((side, side), np.uint8))
    for split in ("train", "test"):
        write_parquet(tmp_path / "own" / f"{split}.parquet", [image], [0])
    with pytest.raises(RequestError, match=words):
        load_dataset("own", tmp_path).train  # noqa: B018


@pytest.mark.parametrize("struct", [False, True], ids=["plain", "struct"])
@pytest.mark.parametrize("kind", ["binary", "large_binary", "binary_view"])
@pytest.mark.parametrize("text", ["string", "large_string", "dictionary"])
def test_every_binary_type_and_labels_that_are_names(
    tmp_path: Path, pixels: Pixels, struct: bool, kind: str, text: str
) -> None:
    import pyarrow
    import pyarrow.parquet

    binary = getattr(pyarrow, kind)()
    encoded = [encode(p) for p in pixels]
    cells = [{"bytes": data} for data in encoded] if struct else encoded
    rows = {} if kind == "binary_view" else {"row_group_size": 5}  # Arrow cannot cut views
    names = pyarrow.array([["owl", "cat", "dog"][label] for label in LABELS])
    for split in ("train", "test"):
        place = tmp_path / "own" / "plain_text" / split
        place.mkdir(parents=True)
        table = {
            "image": pyarrow.array(cells, pyarrow.struct([("bytes", binary)]) if struct else binary),
            "label": names.dictionary_encode() if text == "dictionary" else names.cast(getattr(pyarrow, text)()),
        }
        pyarrow.parquet.write_table(pyarrow.table(table), place / "0000.parquet", **rows)
    dataset = load_dataset("own", tmp_path)
    assert dataset.class_names == ("cat", "dog", "owl")
    assert dataset.test.labels.tolist() == [2, 0, 1] * 4
    np.testing.assert_array_equal(in_memory(dataset.train).pixels.numpy().transpose(0, 2, 3, 1), pixels)
