"""Datasets as Parquet files in the layout of the Hugging Face hub.

Shards are named `{split}-{shard:05d}-of-{shards:05d}.parquet` and lie in the folder or one level below; an image column is
a struct with the encoded file in `bytes` (or plain binary), labels are whole numbers, class names may stand in the schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from robustbench_zs.datasets.decode import decode_images
from robustbench_zs.datasets.images import LabelledImages
from robustbench_zs.errors import RequestError

LABEL_COLUMNS = ("label", "labels", "fine_label", "target", "class")
"""Names a label column may have, in order of preference; CIFAR-100 on the hub has `fine_label` and `coarse_label`."""

_SHARD = re.compile(r"(?P<split>\w+)-(?P<shard>\d{5})-of-(?P<shards>\d{5})(-[0-9a-f]+)?\.parquet")


def parquet_shards(folder: Path, split: str) -> list[Path]:
    """The Parquet files of a split in `folder` or one level below, in order; none if there is none.

    Raises:
        RequestError: some of the shards that the names announce are missing.
    """
    for place in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())):
        shards = sorted(p for p in place.glob(f"{split}*.parquet") if p.stem == split or _SHARD.fullmatch(p.name))
        found = [_SHARD.fullmatch(p.name) for p in shards]
        shards = [p for p, m in zip(shards, found, strict=True) if m is None or m["split"] == split]
        if shards:
            announced = next((int(m["shards"]) for m in found if m), len(shards))
            if len(shards) != announced:
                raise RequestError(f"{place} holds {len(shards)} of {announced} Parquet files of the split {split!r}")
            return shards
    return []


def read_parquet(shards: list[Path], classes: int, limit: int | None = None) -> LabelledImages:
    """The images of a split; only the first `limit` images are decoded.

    Raises:
        RequestError: a file that is not Parquet or is truncated, or that has no image column or no label column.
    """
    labels: list[int] = []

    def encoded() -> Iterator[tuple[str, bytes]]:
        for path in shards:
            with _readable(path) as file:
                columns = image_column, label_column = _columns(file.schema_arrow, path)
                for batch in file.iter_batches(batch_size=1000, columns=list(columns)):
                    batch_labels = batch.column(label_column).to_pylist()
                    for image, label in zip(batch.column(image_column).to_pylist(), batch_labels, strict=True):
                        if limit is not None and len(labels) >= limit:
                            return
                        data = image.get("bytes") if isinstance(image, dict) else image
                        name = f"image {len(labels)} of {path.name}"
                        if not isinstance(data, bytes) or label is None:
                            raise RequestError(f"{name} has no bytes or no label")
                        labels.append(label)
                        yield name, data

    return LabelledImages(decode_images(encoded()), torch.tensor(labels), classes)


def read_classes(shards: list[Path]) -> tuple[int, tuple[str, ...] | None]:
    """Number of classes and their names: from the schema, else from the largest label, without decoding images.

    Raises:
        RequestError: as `read_parquet`, and for negative labels, with which the hub marks unlabelled images.
    """
    largest = 0
    for path in shards:
        with _readable(path) as file:
            _, label_column = _columns(file.schema_arrow, path)
            if names := _class_names(file.schema_arrow, label_column):
                return len(names), names
            for batch in file.iter_batches(columns=[label_column]):
                values = [v for v in batch.column(label_column).to_pylist() if v is not None]
                if values and min(values) < 0:
                    raise RequestError(f"{path.name} has negative labels (unlabelled images): give splits with labels")
                largest = max([largest, *values])
    return largest + 1, None


@contextmanager
def _readable(path: Path) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise RequestError(f"{path} cannot be read as Parquet, it may be truncated: {reason}") from error


def _columns(schema: Any, path: Path) -> tuple[str, str]:
    import pyarrow

    def holds_images(kind: Any) -> bool:
        if pyarrow.types.is_struct(kind):
            return any(f.name == "bytes" and holds_images(f.type) for f in kind)
        return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))

    image = next((f.name for f in schema if holds_images(f.type)), None)
    whole = [f.name for f in schema if pyarrow.types.is_integer(f.type)]
    label = next((name for name in LABEL_COLUMNS if name in whole), whole[0] if len(whole) == 1 else None)
    if image is None or label is None:
        missing = "image column (struct with 'bytes', or binary)" if image is None else "label column of whole numbers"
        raise RequestError(f"{path} has no {missing}; its columns are {', '.join(schema.names)[:200]}")
    return image, label


def _class_names(schema: Any, label_column: str) -> tuple[str, ...] | None:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label_column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    if isinstance(names, list) and names and all(isinstance(n, str) for n in names):
        return tuple(names)
    return None
