"""Image files as programs write them: 16 bits, floats, grey among colours, turned by EXIF, hidden ones beside."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from image_files import encode, in_memory, random_pixels
from PIL import Image

from robustbench_zs.datasets import load_dataset
from robustbench_zs.datasets.decode import decode_images
from robustbench_zs.errors import RequestError, ZsbenchWarning

GREY = random_pixels()[0, :, :, 0]


def written(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(*files: bytes) -> np.ndarray:
    """N×C×H×W."""
    return decode_images((f"{place}.png", data) for place, data in enumerate(files)).numpy()


SIXTEEN = GREY.astype(np.uint16) * 257  # 255 · 257 = 65535


@pytest.mark.parametrize(
    "data",
    [
        written(Image.fromarray(SIXTEEN), "PNG"),
        written(Image.fromarray(SIXTEEN), "TIFF"),
        written(Image.fromarray(SIXTEEN.astype(">u2")), "TIFF"),
        f"P5 {GREY.shape[1]} {GREY.shape[0]} 65535\n".encode() + SIXTEEN.astype(">u2").tobytes(),
        written(Image.fromarray((GREY / 255).astype(np.float32)), "TIFF"),
    ],
    ids=["I;16 PNG", "I;16 TIFF", "I;16B TIFF", "PGM", "float TIFF"],
)
def test_16_bits_and_floats_are_scaled(data: bytes) -> None:
    np.testing.assert_array_equal(decoded(data)[0, 0], GREY)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.linspace(0, 255, 99, dtype=np.float32).reshape(9, 11), "pixels from 0 to 255"),
        (np.linspace(-0.5, 0.5, 99, dtype=np.float32).reshape(9, 11), "pixels from -0.5 to 0.5"),
        (np.full(GREY.shape, np.nan, np.float32), "pixels from nan to nan"),
        (SIXTEEN.astype(np.int32), "which value is white"),
    ],
    ids=["floats to 255", "negative", "NaN", "32 bits"],
)
def test_what_has_no_white_is_refused(values: np.ndarray, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        decoded(written(Image.fromarray(values), "TIFF"))


def test_a_grey_image_takes_no_colour_from_the_others() -> None:
    colour = random_pixels()[1]
    found = decoded(encode(GREY), encode(colour), encode(GREY))
    np.testing.assert_array_equal(found[1], colour.transpose(2, 0, 1))
    for place in (0, 2):
        np.testing.assert_array_equal(found[place], np.stack([GREY] * 3))
    assert decoded(encode(GREY), encode(GREY)).shape[1] == 1


def test_images_are_turned_as_their_exif_data_say() -> None:
    colour = random_pixels()[1]
    turned = Image.fromarray(colour).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 270° counter-clockwise to see it upright
    found = decoded(written(turned, "PNG", exif=exif))
    np.testing.assert_array_equal(found[0], colour.transpose(2, 0, 1))


LARGE = np.kron(GREY, np.ones((4, 4), np.uint8))
COLOURS = np.kron(random_pixels()[1], np.ones((4, 4, 1), np.uint8))
TURNED = Image.Exif()
TURNED[0x0112] = 6


@pytest.mark.parametrize(
    ("kept", "plain"),
    [
        (written(Image.fromarray(LARGE.astype(np.uint16) * 257), "PNG"), encode(LARGE)),
        (written(Image.fromarray((LARGE.astype(np.uint16) * 257).astype(">u2")), "TIFF"), encode(LARGE)),
        (written(Image.fromarray((LARGE / 255).astype(np.float32)), "TIFF"), encode(LARGE)),
        (encode(LARGE), encode(np.stack([LARGE] * 3, -1))),
        (written(Image.fromarray(COLOURS).transpose(Image.Transpose.ROTATE_90), "PNG", exif=TURNED), encode(COLOURS)),
    ],
    ids=["16 bits", "big-endian", "float", "grey", "EXIF"],
)
def test_streamed_images_are_read_alike(tmp_path: Path, kept: bytes, plain: bytes) -> None:
    """Beside an image in colour, so that grey ones lie in three channels."""
    for split in ("train", "test"):
        (tmp_path / split / "a").mkdir(parents=True)
        for name, data in {"0": kept, "1": plain, "2": encode(COLOURS[:, ::-1])}.items():
            (tmp_path / split / "a" / f"{name}.png").write_bytes(data)
    images = load_dataset(str(tmp_path), image_size=16).test.images()
    assert (images[0] == images[1]).all()
    assert not (images[1] == images[2]).all()
    assert images[1].max() > images[1].min()


def test_hidden_files_and_folders_are_passed_over_and_counted(tmp_path: Path) -> None:
    pixels = random_pixels()
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            folder = tmp_path / split / name
            (folder / ".ipynb_checkpoints").mkdir(parents=True)
            (folder / "x.png").write_bytes(encode(pixels[0]))
            (folder / "._x.png").write_bytes(b"Mac OS X")
            (folder / ".ipynb_checkpoints" / "x-checkpoint.png").write_bytes(encode(pixels[1]))
        (tmp_path / split / ".ipynb_checkpoints").mkdir()
    with pytest.warns(ZsbenchWarning, match="cat: 2 hidden files or folders were ignored") as warned:
        assert len(in_memory(load_dataset(str(tmp_path)).test)) == 2
    assert len(warned) == 2
