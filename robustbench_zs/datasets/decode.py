"""Image files to pixels, with limits: a file from a stranger cannot ask for more memory than a photograph takes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from robustbench_zs.errors import RequestError

LARGEST_SIDE = 1024
LARGEST_SPLIT_BYTES = 8 * 2**30
LARGEST_FILE = 2**26

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
"""Pillow knows dozens more, among them EPS, which it gives to an interpreter of programs."""


def decode_images(encoded: Iterable[tuple[str, bytes]]) -> Tensor:
    """Decode `FORMATS` to uint8 N×C×H×W, with one channel if the first image is grey, else three.

    Args:
        encoded: pairs of a name for messages and the bytes of the file.

    Raises:
        RequestError: not an image of these formats, more than 64 MiB, larger than 1024×1024, of another size than the first,
            or more than 8 GiB in all.
    """
    from PIL import Image

    arrays: list[np.ndarray] = []
    mode, shape = "", (0, 0)
    for name, data in encoded:
        if len(data) > LARGEST_FILE:
            raise RequestError(f"{name} has {len(data)} bytes; at most {LARGEST_FILE} an image are read")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(io.BytesIO(data), formats=FORMATS)
                if max(image.size) > LARGEST_SIDE:
                    raise RequestError(f"{name} is {image.size[0]}×{image.size[1]}; at most {LARGEST_SIDE} a side is read")
                mode = mode or ("L" if image.mode in ("L", "1", "I", "I;16", "LA") else "RGB")
                array = np.asarray(image.convert(mode))
        except RequestError:
            raise
        except Exception as error:
            raise RequestError(f"{name} is not an image that can be read ({type(error).__name__})") from error
        shape = shape if arrays else array.shape[:2]
        if array.shape[:2] != shape:
            raise RequestError(
                f"{name} is {array.shape[1]}×{array.shape[0]} but the first image {shape[1]}×{shape[0]}: "
                "resize all images of a dataset to one size"
            )
        if not arrays:
            bytes_each = array.nbytes
        arrays.append(array)
        if bytes_each * len(arrays) > LARGEST_SPLIT_BYTES:
            raise RequestError(f"the split is larger than {LARGEST_SPLIT_BYTES // 2**30} GiB in memory: use fewer images")
    if not arrays:
        raise RequestError("the dataset split holds no image")
    stacked = np.stack(arrays)
    return torch.from_numpy(stacked[:, None] if mode == "L" else np.ascontiguousarray(stacked.transpose(0, 3, 1, 2)))
