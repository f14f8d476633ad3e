"""What a study asks of networks that it does not train: their parameters, their run times, the roots of their schemes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from robustbench_zs.system.limits import FileTable


class Measurement(FileTable):
    """What to measure; 32×32 images in three channels and ten classes unless it says otherwise.

    Args:
        measure: `"parameters"`, `"runtime"` (seconds of training and of inference) or `"roots"`.
        batch_sizes, images, repeats: of run times: networks take turns, `repeats` times each over `images` images.
        epochs, train_images, test_images: what measured times are scaled up to.
    """

    measure: Literal["parameters", "runtime", "roots"]
    image_size: int = Field(32, ge=8, le=4096)
    batch_sizes: list[Annotated[int, Field(ge=1, le=1_000_000)]] = Field([128], min_length=1, max_length=20)
    images: int = Field(10_000, ge=1, le=10_000_000)
    repeats: int = Field(5, ge=1, le=1000)
    epochs: int = Field(160, ge=1, le=100_000)
    train_images: int = Field(50_000, ge=1, le=10**9)
    test_images: int = Field(10_000, ge=1, le=10**9)
