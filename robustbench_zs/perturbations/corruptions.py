"""Common corruptions (Hendrycks and Dietterich 2019): the published images, and ones that are generated here."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.base import Perturbation
from robustbench_zs.perturbations.noise import DEFAULT_SEED, NoiseSeed
from robustbench_zs.perturbations.parameters import Meaning

CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
SEVERITIES = (1, 2, 3, 4, 5)
IMAGES = 10_000
"""Test images of CIFAR; a published array holds them once a severity, in their order."""

SMALLEST_SIDE = 32
"""Of images that the library corrupts."""

Pixels = npt.NDArray[np.uint8]


Corruption = Annotated[str, Meaning("Kind of corruption.", choices=CORRUPTIONS)]
Severity = Annotated[int, Meaning("Severity of the corruption.", SEVERITIES[0], SEVERITIES[-1])]


@dataclass(frozen=True)
class PublishedCorruption(Perturbation):
    """The corrupted test images of CIFAR-10-C or CIFAR-100-C, read from `FOLDER/CORRUPTION.npy` (uint8, 50,000×32×32×3).

    They stand in for the images given, by their place in the test split.

    Raises (the calls too):
        RequestError: no such corruption, severity or array.
    """

    corruption: Corruption
    severity: Severity
    folder: str
    kind: ClassVar[str] = "published-corruption"

    @property
    def _path(self) -> Path:
        return Path(self.folder) / f"{self.corruption}.npy"

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        pixels = np.array(published_images(self._path, self.severity)[indices.numpy()])
        return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255).to(images.device).contiguous()

    def key(self) -> dict[str, Any]:
        digest = _digest(self._path, self.severity, self._path.stat().st_mtime_ns if self._path.is_file() else 0)
        return {"kind": self.kind, "corruption": self.corruption, "severity": self.severity, "images": digest}

    @property
    def label(self) -> str:
        return f"{self.corruption}(severity={self.severity})"


@dataclass(frozen=True)
class GeneratedCorruption(Perturbation):
    """A corruption made here by the library imagecorruptions, at its strengths, which are ImageNet-C's: on small images they
    are stronger than CIFAR-10-C's, so its numbers are not those of the published images.

    Random draws belong to the image.

    Raises (the calls too):
        RequestError: no such corruption or severity, images below 32×32, or the library is not installed.
    """

    corruption: Corruption
    severity: Severity
    seed: NoiseSeed = DEFAULT_SEED
    kind: ClassVar[str] = "generated-corruption"

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        corrupt = _library()
        channels = images.shape[1]
        if min(images.shape[2:]) < SMALLEST_SIDE or channels not in (1, 3):
            size = "×".join(map(str, images.shape[1:]))
            raise RequestError(
                f"corruptions can be generated for images of at least {SMALLEST_SIDE}×{SMALLEST_SIDE} pixels, not for {size}"
            )
        pixels = (images.detach().cpu() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        place, made = CORRUPTIONS.index(self.corruption), np.empty_like(pixels)
        before = np.random.get_state()  # the library draws from the global generator
        try:
            for row, index in enumerate(indices.tolist()):
                (seed,) = np.random.SeedSequence([self.seed, place, index]).generate_state(1)
                np.random.seed(seed)
                own = {"seed": int(seed)} if self.corruption in ("impulse_noise", "glass_blur") else {}
                image = corrupt(pixels[row], corruption_name=self.corruption, severity=self.severity, **own)
                made[row] = image[..., :channels]  # the library answers a grey image with three equal channels
        finally:
            np.random.set_state(before)
        return (torch.from_numpy(made).permute(0, 3, 1, 2).float() / 255).to(images.device).contiguous()

    @property
    def label(self) -> str:
        return f"generated_{self.corruption}(severity={self.severity})"


def published_images(path: Path, severity: int) -> Pixels:
    """The test images at one severity, N×H×W×C, read from the disk as they are used.

    Raises:
        RequestError: the file is not there or not such an array.
    """
    array = _read(path, np.uint8, (len(SEVERITIES) * IMAGES, 32, 32, 3))
    return array[(severity - 1) * IMAGES : severity * IMAGES]


def published_labels(folder: Path) -> npt.NDArray[np.int64]:
    """The labels of the test images, from `labels.npy`.

    Raises:
        RequestError: the file is not there or not such an array.
    """
    labels: npt.NDArray[np.int64] = _read(folder / "labels.npy", np.integer, (len(SEVERITIES) * IMAGES,))[:IMAGES]
    return labels.astype(np.int64)


def _read(path: Path, kind: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if not os.path.isfile(path):
        raise RequestError(
            f"there is no file {path}: download CIFAR-10-C from https://zenodo.org/records/2535967 and unpack it there, or "
            "use generated corruptions, which are similar"
        )
    try:
        # Neither a pickle nor an archive, both of which `np.load` would take for arrays as well.
        array: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # the header is a Python literal, which can fail in many ways
        raise RequestError(f"{path} is not a NumPy array: {str(error)[:200] or type(error).__name__}") from error
    if not np.issubdtype(array.dtype, kind) or array.shape != shape:
        wanted = "×".join(map(str, shape))
        raise RequestError(f"{path} should hold {wanted} numbers of {kind.__name__}, not {array.shape} of {array.dtype}")
    return array


@lru_cache(maxsize=256)
def _digest(path: Path, severity: int, changed: int) -> str:
    return hashlib.sha256(np.ascontiguousarray(published_images(path, severity)).tobytes()).hexdigest()


def _library() -> Any:
    try:
        from imagecorruptions import corrupt
    except ImportError as error:
        raise RequestError(
            "generated corruptions need the extra corruptions: run `pip install 'robustbench_zs[corruptions]'`"
        ) from error
    return corrupt
