"""Image files to pixels, with limits: a file from a stranger cannot ask for more memory than a photograph takes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robustbench_zs.errors import RequestError

MAX_SIDE = 1024
MAX_SPLIT_BYTES = 8 * 2**30
MAX_FILE_BYTES = 2**26

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
"""Pillow knows dozens more, among them EPS, which it gives to an interpreter of programs."""


GREY = ("1", "L", "LA", "La")


def decode_images(encoded: Iterable[tuple[str, bytes]]) -> Tensor:
    """Decode `FORMATS` to uint8 N×C×H×W, with one channel if all images are grey, else three; see `eight_bits`.

    Args:
        encoded: pairs of a name for messages and the bytes of the file.

    Raises:
        RequestError: not an image of these formats, more than 64 MiB, larger than 1024×1024, of another size than the first,
            or more than 8 GiB in all.
    """
    from PIL import Image

    arrays: list[np.ndarray] = []  # H×W where grey, else H×W×3
    channels, shape = 1, (0, 0)
    for name, data in encoded:
        if len(data) > MAX_FILE_BYTES:
            raise RequestError(f"{name} has {len(data)} bytes; at most {MAX_FILE_BYTES} an image are read")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(io.BytesIO(data), formats=FORMATS)
                if max(image.size) > MAX_SIDE:
                    raise RequestError(f"{name} is {image.size[0]}×{image.size[1]}; at most {MAX_SIDE} a side is read")
                array = np.asarray(eight_bits(image, name))
        except RequestError:
            raise
        except Exception as error:
            raise RequestError(f"{name} is not an image that can be read ({type(error).__name__})") from error
        shape = shape if arrays else array.shape[:2]
        if array.shape[:2] != shape:
            raise RequestError(
                f"{name} is {array.shape[1]}×{array.shape[0]} but the first image is {shape[1]}×{shape[0]}: "
                "resize all images of a dataset to one size"
            )
        channels = 3 if array.ndim == 3 else channels
        arrays.append(array)
        if channels * shape[0] * shape[1] * len(arrays) > MAX_SPLIT_BYTES:
            raise RequestError(f"the split is larger than {MAX_SPLIT_BYTES // 2**30} GiB in memory: use fewer images")
    if not arrays:
        raise RequestError("the split contains no image")
    pixels = np.empty((len(arrays), channels, *shape), np.uint8)
    for place, array in enumerate(arrays):  # a grey image among coloured ones has three equal channels
        pixels[place] = array if array.ndim == 2 else array.transpose(2, 0, 1)
    return torch.from_numpy(pixels)


def eight_bits(image: Any, name: str) -> Any:
    """An image of Pillow's as 8-bit grey or RGB, upright as its EXIF data say; 16 bits and floats in [0, 1] are scaled.

    Raises:
        RequestError: its values have another range, so that it is not known what is white.
    """
    from PIL import Image, ImageOps

    ImageOps.exif_transpose(image, in_place=True)
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format != "TIFF")
    if not sixteen and image.mode not in ("I", "F"):
        return image.convert("L" if image.mode in GREY else "RGB")
    values = np.asarray(image).astype(np.float64)
    white = 65535 if sixteen else 1
    if (image.mode == "I" and not sixteen) or not ((values >= 0) & (values <= white)).all():  # NaN is neither
        raise RequestError(
            f"{name} has pixels from {values.min():g} to {values.max():g}, so it is unclear which value is white: save it "
            "with 8 or 16 bits, or as floats from 0 to 1"
        )
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))
