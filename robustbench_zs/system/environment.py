"""What a result was computed with."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGES = ("robustbench_zs", "torch", "torchvision", "numpy", "foolbox", "torchattacks", "scikit-learn")


@cache
def environment() -> dict[str, str | int | None]:
    """Versions of Python and the libraries that decide results (null where one is absent), processor, cores, GPU."""
    import torch

    found: dict[str, str | int | None] = {"python": platform.python_version(), "system": platform.system()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    found["processor"] = _processor()
    found["cores"] = os.cpu_count()
    found["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return found


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
