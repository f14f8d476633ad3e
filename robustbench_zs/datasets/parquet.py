"""Datasets as Parquet files in the layout of the Hugging Face hub.

Shards are named `{split}-{shard:05d}-of-{shards:05d}.parquet` and lie in the folder or one level below, or are the
`CONFIG/{split}/0000.parquet` of its conversions; an image column is a struct with the encoded file in `bytes` (or plain
binary), labels are whole numbers, whose names may stand in the schema, or the names themselves.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from robustbench_zs.datasets.decode import decode_images
from robustbench_zs.datasets.images import MAX_CLASSES, LabelledImages
from robustbench_zs.errors import RequestError

LABEL_COLUMNS = ("label", "labels", "fine_label", "target", "class")
"""Names a label column may have, in order of preference; CIFAR-100 on the hub has `fine_label` and `coarse_label`."""

FEW_ROWS, MAX_ROWS = 100_000, 10_000_000
"""Between them a file has at least a byte for each of its rows."""

MAX_COLUMN = 2**28
MAX_PACKED = 100
"""The images of a row group that unpack to more bytes than the first may grow by this factor: encoded images hardly pack."""

BYTES = ".bytes"
"""Ends the path of an image column that is a struct."""

_CONVERTED = re.compile(r"\d{4}\.parquet")
_SHARD = re.compile(r"(?P<split>\w+)-(?P<shard>\d{5})-of-(?P<shards>\d{5})(-[0-9a-f]+)?\.parquet")


def parquet_shards(folder: Path, split: str) -> list[Path]:
    """The Parquet files of a split in `folder` or one level below, in order; none if there is none.

    Raises:
        RequestError: some of the shards that the names announce are missing.
    """
    below = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    for place in (folder, *below):
        named = (p for p in place.glob(f"{split}*.parquet") if p.stem == split or _SHARD.fullmatch(p.name))
        shards = sorted(p for p in named if os.path.isfile(p))  # no pipe, which would be waited for
        found = [_SHARD.fullmatch(p.name) for p in shards]
        shards = [p for p, m in zip(shards, found, strict=True) if m is None or m["split"] == split]
        if shards:
            announced = next((int(m["shards"]) for m in found if m), len(shards))
            if len(shards) != announced:
                raise RequestError(f"{place} has only {len(shards)} of {announced} Parquet files of the split {split!r}")
            return shards
    for place in (folder, *below):
        converted = sorted(p for p in place.glob(f"{split}/*.parquet") if _CONVERTED.fullmatch(p.name) and os.path.isfile(p))
        if converted:
            if int(converted[-1].stem) != len(converted) - 1:
                raise RequestError(f"some Parquet files before {converted[-1]} are missing")
            return converted
    return []


def read_parquet(
    shards: list[Path], classes: int, limit: int | None = None, class_names: tuple[str, ...] | None = None
) -> LabelledImages:
    """The images of a split; only the first `limit` images are decoded.

    Args:
        class_names: what labels that are names are numbered by, from `read_classes`.

    Raises:
        RequestError: a file that is not Parquet or is truncated, or that has no image column or no label column.
    """
    labels: list[int] = []
    numbers = {name: number for number, name in enumerate(class_names or ())}

    def encoded() -> Iterator[tuple[str, bytes]]:
        for path in shards:
            with _readable(path) as file:
                image_column, label_column = _columns(file.schema_arrow, path)
                _check_size(file.metadata, image_column, path)
            # As a dictionary: an image that all rows share is in memory once, not once a row.
            with _readable(path, read_dictionary=[image_column]) as file:
                # Group by group: Arrow makes no batch of structs out of several.
                groups = ([group] for group in range(file.num_row_groups))
                columns = [image_column, label_column]
                batches = (file.iter_batches(batch_size=1000, row_groups=group, columns=columns) for group in groups)
                for batch in chain.from_iterable(batches):
                    images, batch_labels = batch.columns
                    images = images.flatten()[0] if image_column.endswith(BYTES) else images
                    for image, label in zip(images, batch_labels.to_pylist(), strict=True):
                        if limit is not None and len(labels) >= limit:
                            return
                        data = image.as_py()
                        name = f"image {len(labels)} of {path.name}"
                        if not isinstance(data, bytes) or label is None:
                            raise RequestError(f"{name} has no bytes or no label")
                        labels.append(numbers[label] if isinstance(label, str) else label)
                        yield name, data

    return LabelledImages(decode_images(encoded()), torch.tensor(labels), classes)


def read_classes(shards: list[Path]) -> tuple[int, tuple[str, ...] | None]:
    """Number of classes and their names: from the schema, else from the labels, without decoding images.

    Labels that are names are numbered in alphabetical order, as those of class folders.

    Raises:
        RequestError: as `read_parquet`, and for negative labels, with which the hub marks unlabelled images.
    """
    import pyarrow.compute

    largest, said = 0, set[str]()
    for path in shards:
        with _readable(path) as file:
            image_column, label_column = _columns(file.schema_arrow, path)
            _check_size(file.metadata, image_column, path)
            names = _class_names(file.schema_arrow, label_column)
            for batch in file.iter_batches(columns=[label_column]) if names is None else ():
                if _is_text(file.schema_arrow.field(label_column).type):
                    said.update(label for label in pyarrow.compute.unique(batch.column(0)).to_pylist() if label is not None)
                    continue
                ends = pyarrow.compute.min_max(batch.column(0)).as_py()
                if ends["min"] is not None and ends["min"] < 0:
                    raise RequestError(f"{path.name} has negative labels (unlabelled images): use splits with labels")
                largest = max(largest, ends["max"] or 0)
            classes = len(names or said) or largest + 1
            if classes > MAX_CLASSES:
                raise RequestError(f"{path.name} has labels of {classes} classes; allowed are 1 to {MAX_CLASSES} classes")
            if names:
                return classes, names
    return (len(said), tuple(sorted(said))) if said else (largest + 1, None)


@contextmanager
def _readable(path: Path, **options: Any) -> Iterator[Any]:
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path, **options) as file:
            yield file
    except RequestError:
        raise
    except Exception as error:  # Arrow's own errors and, for names and values that Python cannot hold, any other
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise RequestError(f"{path} cannot be read as Parquet and may be truncated: {reason}") from error


def _check_size(metadata: Any, image_column: str, path: Path) -> None:
    """Refuse more rows or larger images than a file of this size can honestly hold, by a `RequestError`."""
    most = min(MAX_ROWS, max(FEW_ROWS, os.path.getsize(path)))
    if metadata.num_rows > most:
        raise RequestError(f"{path} claims {metadata.num_rows} images; of a file of its size at most {most} are read")
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            unpacked, packed = column.total_uncompressed_size, column.total_compressed_size
            if column.path_in_schema == image_column and unpacked > max(MAX_COLUMN, MAX_PACKED * packed):
                raise RequestError(f"{path} unpacks {packed} bytes of images to {unpacked}, more than encoded images can")


def _columns(schema: Any, path: Path) -> tuple[str, str]:
    """The path of the images' bytes and the name of the label column."""
    import pyarrow

    def binary(kind: Any) -> bool:
        types = pyarrow.types
        return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))

    def images_in(field: Any) -> str | None:
        if pyarrow.types.is_struct(field.type):
            return next((field.name + BYTES for f in field.type if f.name == "bytes" and binary(f.type)), None)
        return field.name if binary(field.type) else None

    image = next(filter(None, map(images_in, schema)), None)
    whole = [f.name for f in schema if pyarrow.types.is_integer(f.type)]
    text = [f.name for f in schema if _is_text(f.type)]
    label = next((name for name in LABEL_COLUMNS if name in whole), whole[0] if len(whole) == 1 else None)
    label = label or next((name for name in LABEL_COLUMNS if name in text), None)
    if image is None or label is None:
        missing = (
            "image column (struct with 'bytes', or binary)" if image is None else "label column (whole numbers or names)"
        )
        raise RequestError(f"{path} has no {missing}; its columns are {', '.join(schema.names)[:200]}")
    return image, label


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _class_names(schema: Any, label_column: str) -> tuple[str, ...] | None:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label_column]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if isinstance(names, list) and names and all(isinstance(n, str) for n in names):
        return tuple(names)
    return None
