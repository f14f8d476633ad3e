"""Networks of the user's own: any callable that returns a module on images in [0, 1]."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from robustbench_zs.datasets.images import Statistics
from robustbench_zs.datasets.streamed import IMAGENET_STATISTICS
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.weights import load_weights

NORMALIZATIONS: dict[str, Statistics] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "imagenet": IMAGENET_STATISTICS,
}
"""Mean and standard deviation per channel by name; those of CIFAR-10 are of its training images."""

LIBRARIES = {"torchvision": "torchvision.models:get_model", "timm": "timm:create_model"}
"""What makes the networks of a library from their names."""


@dataclass(frozen=True)
class Model:
    """A network by the name of its factory.

    Args:
        factory: `"package.module:callable"` or `"file.py:callable"`, found from the working folder; it returns a module that
            takes images N×C×H×W and gives N×K logits, see `OwnNetwork`. Or `"torchvision:NAME"`, `"timm:NAME"`: a network of
            that library, without its published weights.
        weights: a file of safetensors or of `torch.save` with the module's state, see `load_weights`.
        classes: passed to the factory as `num_classes` (torchvision's name) or `classes`.
        normalize: `"cifar10"` or `"imagenet"`, where the network takes images that are brought to that mean and deviation.
        mean, std: the same as numbers, one per channel, on the scale of [0, 1].

    Raises:
        RequestError: another name, mean without std, a std that is not above 0.

    Examples:
        >>> model = zs.Model("torchvision.models:squeezenet1_1", classes=10)
        >>> model.load()(torch.rand(1, 3, 32, 32)).shape
        torch.Size([1, 10])
    """

    factory: str
    weights: str | None = None
    classes: int | None = None
    normalize: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.normalize is not None and (self.mean is not None or self.std is not None):
            raise RequestError("give either the name of a normalization or mean and std, not both")
        if self.normalize not in (None, *NORMALIZATIONS):
            raise RequestError(
                f"the normalization must be one of {', '.join(NORMALIZATIONS)}, not {str(self.normalize)[:40]!r}"
            )
        for name in ("mean", "std"):
            numbers = getattr(self, name)
            if numbers is not None:  # NumPy's float64 would make the images float64
                object.__setattr__(self, name, tuple(map(float, np.ravel(numbers))))
        if (self.mean is None) != (self.std is None) or len(self.mean or ()) != len(self.std or ()):
            raise RequestError("mean and std must be given together, each with one number per channel")
        mean, std = (torch.tensor(numbers or ()) for numbers in (self.mean, self.std))  # float32, where 1e-320 is 0
        if not mean.isfinite().all() or not (std.isfinite() & (std > 0)).all():
            raise RequestError(f"mean must be finite, and std finite and above 0, not mean {self.mean} and std {self.std}")

    @property
    def normalization(self) -> Statistics | None:
        """Mean and standard deviation that images are brought to."""
        if self.normalize is not None:
            return NORMALIZATIONS[self.normalize]
        return None if self.mean is None or self.std is None else (self.mean, self.std)

    def load(self) -> nn.Module:
        """The module on the CPU; a factory that draws weights draws the same ones each time.

        Raises:
            RequestError: there is no such factory, it fails, it returns no module, or the weights do not fit.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = self._call(self._find())
        if not isinstance(module, nn.Module):
            raise RequestError(f"{self.factory} returned {type(module).__name__}, not a torch.nn.Module")
        if self.weights is not None:
            load_weights(module, Path(self.weights), self.factory[:200])
        return module.eval()

    def _find(self) -> Callable[..., Any]:
        place, colon, name = self.factory.rpartition(":")
        if not (place and colon and name):
            raise RequestError(
                "a model must be given as package.module:factory, file.py:factory, torchvision:NAME or timm:NAME, not "
                f"{self.factory[:80]!r}"
            )
        if place in LIBRARIES:
            if importlib.util.find_spec(place) is None:
                raise RequestError(f"{self.factory[:200]} needs the package {place}: run `pip install {place}`")
            return partial(self._named(*LIBRARIES[place].split(":")), name)
        return self._named(place, name)

    def _named(self, place: str, name: str) -> Callable[..., Any]:
        with _working_folder_importable():
            try:
                found: Any = _import_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
                for part in name.split("."):
                    found = getattr(found, part)
            except (ImportError, AttributeError) as error:
                raise RequestError(f"the model {self.factory[:200]} was not found: {error}") from error
            except (Exception, SystemExit) as error:
                raise RequestError(f"importing {place[:80]} failed: {type(error).__name__}: {str(error)[:200]}") from error
        if not callable(found):
            raise RequestError(
                f"{self.factory[:200]} is not callable: it should be a function that returns a torch.nn.Module"
            )
        factory: Callable[..., Any] = found
        return factory

    def _call(self, factory: Callable[..., Any]) -> Any:
        options: dict[str, int] = {}
        if self.classes is not None:
            try:
                names = inspect.signature(factory).parameters
            except (TypeError, ValueError):
                names = {}  # type: ignore[assignment]
            catches_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in names.values())
            name = next((n for n in ("num_classes", "classes") if n in names), "num_classes" if catches_all else None)
            if name is None:
                raise RequestError(
                    f"{self.factory[:200]} takes neither num_classes nor classes: leave the number of classes out"
                )
            options[name] = self.classes
        try:
            return factory(**options)
        except (Exception, SystemExit) as error:
            raise RequestError(f"{self.factory[:200]} failed: {type(error).__name__}: {str(error)[:200]}") from error


@contextmanager
def _working_folder_importable() -> Iterator[None]:
    """As `python -m` does: an installed command does not look for modules in the working folder."""
    folder = os.getcwd()
    if folder in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _import_file(path: Path) -> ModuleType:
    """The module that a Python file is; it imports what lies beside it."""
    if not os.path.isfile(path):
        raise ImportError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(path.stem)
    sys.modules[path.stem] = module  # dataclasses and pickles look their module up
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    finally:
        sys.path.remove(str(path.resolve().parent))
        if before is not None:
            sys.modules[path.stem] = before
    return module
