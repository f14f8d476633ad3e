"""Image files written by the tests: class folders, and Parquet as the Hugging Face hub lays it out."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from robustbench_zs.datasets import LabelledImages, Split

Pixels = np.ndarray


def in_memory(split: Split) -> LabelledImages:
    """The split, which is one held in memory."""
    assert isinstance(split, LabelledImages)
    return split


def random_pixels() -> Pixels:
    """Twelve images of 9×11 pixels, N×H×W×C."""
    return np.random.default_rng(0).integers(0, 256, (12, 9, 11, 3), dtype=np.uint8)


def encode(pixels: Pixels, kind: str = "PNG") -> bytes:
    """Bytes of an image file that keeps every pixel."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return buffer.getvalue()


def write_parquet(
    path: Path,
    images: Sequence[bytes | None],
    labels: Sequence[Any],
    columns: tuple[str, str] = ("img", "label"),
    plain: bool = False,
    names: Sequence[str] | None = None,
    extra: dict[str, Any] | None = None,
) -> Path:
    """Write `images` and `labels` to `path`; the image column is a struct, or plain binary with `plain`."""
    import pyarrow
    import pyarrow.parquet

    kind = pyarrow.binary() if plain else pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    cells = list(images) if plain else [None if i is None else {"bytes": i, "path": None} for i in images]
    values = list(labels) or pyarrow.array([], pyarrow.int64())
    table = pyarrow.table({columns[0]: pyarrow.array(cells, kind), columns[1]: values, **(extra or {})})
    if names:
        features = {"info": {"features": {columns[1]: {"names": list(names), "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path)
    return path
