"""Networks of the user's own: any callable that returns a module on images in [0, 1]."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from robustbench_zs.errors import RequestError


@dataclass(frozen=True)
class Model:
    """A network by the name of its factory.

    Args:
        factory: `"package.module:callable"`; it is imported from the working folder too, and returns a module that takes
            images N×C×H×W in [0, 1] and gives N×K logits.
        weights: a safetensors file with the module's state, loaded strictly.
        classes: passed to the factory as `num_classes` (torchvision's name) or `classes`.

    Examples:
        >>> model = zs.Model("torchvision.models:squeezenet1_1", classes=10)
        >>> model.load()(torch.rand(1, 3, 32, 32)).shape
        torch.Size([1, 10])
    """

    factory: str
    weights: str | None = None
    classes: int | None = None

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
            self._load_weights(module)
        return module.eval()

    def _find(self) -> Callable[..., Any]:
        place, colon, name = self.factory.partition(":")
        if not (place and colon and name):
            raise RequestError(f"a model is named as package.module:factory, not {self.factory[:80]!r}")
        with _working_folder_importable():
            try:
                found: Any = importlib.import_module(place)
                for part in name.split("."):
                    found = getattr(found, part)
            except (ImportError, AttributeError) as error:
                raise RequestError(f"the model {self.factory[:200]} was not found: {error}") from error
            except (Exception, SystemExit) as error:
                raise RequestError(f"importing {place[:80]} failed: {type(error).__name__}: {str(error)[:200]}") from error
        if not callable(found):
            raise RequestError(f"{self.factory[:200]} is not callable; it should return a torch.nn.Module")
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
                raise RequestError(f"{self.factory[:200]} takes neither num_classes nor classes: leave --classes out")
            options[name] = self.classes
        try:
            return factory(**options)
        except (Exception, SystemExit) as error:
            raise RequestError(f"{self.factory[:200]} failed: {type(error).__name__}: {str(error)[:200]}") from error

    def _load_weights(self, module: nn.Module) -> None:
        from safetensors.torch import load_file

        path = Path(self.weights or "")
        if not os.path.isfile(path):
            raise RequestError(f"there are no weights {path}")
        try:
            tensors = load_file(path)
        except Exception as error:
            raise RequestError(f"{path} is not a safetensors file that can be read: {str(error)[:100]}") from error
        try:
            module.load_state_dict(tensors)
        except RuntimeError as error:
            first = " ".join(str(error).split())[:200]
            raise RequestError(f"the weights in {path} are not those of {self.factory[:200]}: {first}") from error


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
