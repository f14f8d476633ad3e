"""MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100 through torchvision."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch

from robustbench_zs.datasets.images import Dataset, LabelledImages
from robustbench_zs.errors import RequestError

INSIDE = {
    "mnist": "MNIST/raw",
    "fashion-mnist": "FashionMNIST/raw",
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
}
"""What torchvision makes in the folder that it is given."""

TORCHVISION_CLASSES = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}


def load_with_torchvision(name: str, folder: Path) -> Dataset:
    """The dataset from torchvision's files in `folder`, or beside it where other programs keep them; else it is downloaded.

    The CIFAR archives are pickles; torchvision opens them only after their published MD5 has matched.

    Raises:
        RequestError: the dataset is not there and cannot be downloaded; the message says how to get it.
    """
    import torchvision.datasets

    if (folder.parent / INSIDE[name]).is_dir() and not (folder / INSIDE[name]).is_dir():
        folder = folder.parent
    cls = getattr(torchvision.datasets, TORCHVISION_CLASSES[name])
    made = [place for place in (folder, folder.parent) if not place.exists()]
    try:
        train, test = (cls(str(folder), train=train, download=True) for train in (True, False))
    except Exception as error:  # torchvision lets URLError, RuntimeError, OSError and EOFError through
        inside = sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True) if made else []
        for place in (*inside, *made):
            with suppress(OSError):  # there is something in it
                place.rmdir()
        raise RequestError(
            f"the dataset {name!r} is not in {folder} and could not be downloaded ({type(error).__name__}): run once with "
            f"access to the internet, or put the Hugging Face Parquet files (train-*.parquet, test-*.parquet) into a folder "
            f"{name} of the data directory"
        ) from error

    class_names = tuple(str(c) for c in train.classes)

    def load_split(split: str) -> LabelledImages:
        source = train if split == "train" else test
        data = torch.as_tensor(source.data)
        pixels = data.unsqueeze(1) if data.ndim == 3 else data.permute(0, 3, 1, 2)
        return LabelledImages(pixels.contiguous(), torch.as_tensor(source.targets).long(), len(class_names))

    return Dataset(name, len(class_names), load_split, class_names)
