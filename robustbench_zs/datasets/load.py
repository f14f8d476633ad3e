"""Loads a dataset from its name or its folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from robustbench_zs.datasets.folders import class_folders, read_class_folders
from robustbench_zs.datasets.images import Dataset, Split
from robustbench_zs.datasets.known import EMBEDDED, KNOWN, OTHER
from robustbench_zs.datasets.parquet import parquet_shards, read_classes, read_parquet
from robustbench_zs.datasets.streamed import IMAGENET_SIZE, IMAGENET_STATISTICS, list_image_files
from robustbench_zs.errors import RequestError
from robustbench_zs.system.fingerprint import fingerprint

MIN_SIDE = 8
"""Three stages halve the image twice; below 8×8 the last one would see less than 2×2."""

MAX_SIDE = 4096
"""Of images that are resized when they are used."""

_TEST_SPLITS = ("test", "validation", "valid", "val")


def default_data_dir() -> Path:
    """`$ZSBENCH_DATA_DIR`, else `data` in the working folder."""
    return Path(os.environ.get("ZSBENCH_DATA_DIR") or "data")


def load_dataset(
    name: str | Dataset,
    data_dir: Path | str | None = None,
    train_examples: int | None = None,
    test_examples: int | None = None,
    image_size: int | None = None,
) -> Dataset:
    """Load a dataset: `digits`, `mnist`, `fashion-mnist`, `cifar10`, `cifar100`, `imagenet`, or a folder of the user's own.

    Named ones are read from Parquet files in `data_dir`/NAME if there are any, else from torchvision's archives there,
    which are downloaded if absent. A folder (a path, or a name within `data_dir`) holds Parquet files or class folders
    for `train` and for `test` (or `validation`, `valid`, `val`). ImageNet is read from its usual class folders in
    `data_dir`/imagenet/train and val.

    Args:
        name: a name or a path; a dataset at hand is taken as it is.
        data_dir: folder that holds `cifar10/`, `mnist/`, …; `default_data_dir()` if None.
        train_examples, test_examples: keep only that many images from the front of the split.
        image_size: side that images in class folders are resized and cropped to, each time they are used, so they may be of
            any size and more than fit in memory; 224 for ImageNet. Without it those of a folder must be of one size.

    Raises:
        RequestError: the name is unknown, the data are missing or cannot be read, or there are fewer images than asked for.

    Examples:
        >>> test = zs.load_dataset("digits", test_examples=100).test
        >>> test.images().shape, float(test.images().max())
        (torch.Size([100, 1, 8, 8]), 1.0)
    """
    if isinstance(name, Dataset):
        return name.limited(train_examples, test_examples)
    directory = Path(data_dir) if data_dir is not None else default_data_dir()
    if data_dir is not None and not os.path.isdir(directory):
        raise RequestError(f"the data folder {directory} does not exist")
    if image_size is not None and not MIN_SIDE <= image_size <= MAX_SIDE:
        raise RequestError(f"the image size must lie between {MIN_SIDE} and {MAX_SIDE}, not {image_size}")
    state = fingerprint(directory / name), fingerprint(Path(name))
    return _load(name, directory, (train_examples, test_examples), image_size, (os.getcwd(), *state))


@dataclass(frozen=True)
class Images:
    """Which images are meant; the fields are the arguments of `load_dataset`."""

    dataset: str | Dataset
    data_dir: str | None = None
    train_examples: int | None = None
    test_examples: int | None = None
    size: int | None = None

    def load(self) -> Dataset:
        """The dataset; errors as of `load_dataset`."""
        return load_dataset(self.dataset, self.data_dir, self.train_examples, self.test_examples, self.size)


@lru_cache(maxsize=4)
def _load(
    name: str, directory: Path, first: tuple[int | None, int | None], image_size: int | None, state: tuple[str | None, ...]
) -> Dataset:
    """The dataset, read again in another `state`: another working folder, to which relative paths belong, or other files."""
    for examples in first:
        if examples is not None and examples < 1:
            raise RequestError(f"the number of images must be at least 1, not {examples}")
    limits = dict(zip(("train", "test"), first, strict=True))
    folder = directory / name
    known = KNOWN.get(name)
    loader = known.load if known else None
    if image_size is not None and loader:
        raise RequestError(f"the images of {name} cannot be resized: only class folders and imagenet take an image size")
    if name == "imagenet":
        if not (folder / "train").is_dir():
            raise RequestError(
                f"ImageNet is not in {folder}: put its class folders into {folder / 'train'} and {folder / 'val'}, since it "
                "cannot be downloaded without an account at image-net.org"
            )
        dataset = _load_folder(name, folder, limits, image_size or IMAGENET_SIZE)
    elif os.path.isdir(folder) and (not loader or parquet_shards(folder, "train")) and name != EMBEDDED:
        dataset = _load_folder(name, folder, limits, image_size)
    elif not loader and os.path.isdir(name):  # False too for a name too long for a path
        dataset = _load_folder(name, Path(name), limits, image_size)
    elif loader:
        dataset = loader(folder)
    else:
        raise RequestError(
            f"there is no dataset {name[:200]!r}: choose from {', '.join(KNOWN)}, or give a folder that contains train and "
            "test as Parquet files or class folders"
        )
    return dataset.limited(*first)


def _load_folder(name: str, folder: Path, limits: dict[str, int | None], image_size: int | None) -> Dataset:
    """A dataset from the Parquet files or class folders in `folder`."""
    label = name if name in KNOWN else folder.resolve().name
    if not label.isprintable():  # it stands in checkpoints, tables and reports
        raise RequestError(f"the folder {label[:80]!r} has characters in its name that cannot be printed: rename it")
    parquet = {"train": parquet_shards(folder, "train")}
    # ImageNet's own test images come without labels.
    names = reversed(_TEST_SPLITS) if name == "imagenet" else _TEST_SPLITS
    test_name = next((s for s in names if (folder / s).is_dir() or parquet_shards(folder, s)), None)
    if test_name is None or not (parquet["train"] or (folder / "train").is_dir()):
        raise RequestError(
            f"{folder} contains no {'test' if test_name is None else 'train'} split: it needs train and test, "
            "as Parquet files (train-*.parquet) or as class folders (train/CLASS/*.png)"
        )
    parquet["test"] = parquet_shards(folder, test_name)
    known = KNOWN.get(name, OTHER)
    class_names: tuple[str, ...] | None
    if parquet["train"]:
        classes, class_names = read_classes(parquet["train"] + parquet["test"])
    else:
        class_names = class_folders(folder / "train")
        classes = len(class_names)
        if class_folders(folder / test_name) != class_names:
            raise RequestError(f"the class folders of train and {test_name} in {folder} differ: give both the same classes")
    classes = known.classes if known.shape else classes

    def load_split(split: str) -> Split:
        place = folder / (split if split == "train" else test_name)
        images: Split
        if parquet[split] and image_size is None:
            images = read_parquet(parquet[split], classes, limits[split], class_names)
        elif parquet[split]:
            raise RequestError(f"the Parquet files in {folder} cannot be resized: only class folders take an image size")
        elif image_size is not None:
            statistics = IMAGENET_STATISTICS if name == "imagenet" else None
            images = list_image_files(place, class_names or (), image_size, statistics)
        else:
            images = read_class_folders(place, class_names or ())
        if images.shape != (known.shape or images.shape) or min(images.shape[1:]) < MIN_SIDE:
            wanted = "×".join(map(str, known.shape)) if known.shape else f"any, at least {MIN_SIDE}×{MIN_SIDE}"
            raise RequestError(
                f"the {split} images in {folder} are {'×'.join(map(str, images.shape))} (channels×height×width), but should "
                f"be {wanted}"
            )
        return images

    return Dataset(label, classes, load_split, class_names)
