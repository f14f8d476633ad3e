"""Loads weights that other programs saved, without executing anything in the file."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_zs.errors import RequestError

HOLDERS = ("state_dict", "model_state_dict", "model", "net", "ema", "model_ema", "state_dict_ema", "module", "weights")
"""Keys under which training scripts put the weights beside optimizer and epoch, in order of preference."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
"""What DataParallel, `torch.compile` and Lightning put before every name."""

MAX_NAMES = 5


def load_weights(module: nn.Module, path: Path, whose: str) -> None:
    """Load a safetensors file, or one of `torch.save`, into a module.

    Tensors may lie under one of `HOLDERS` and have one of `PREFIXES` before all their names, also several. Tied weights may
    be there under one of their names, as safetensors' `save_model` leaves them.

    Args:
        whose: what messages call the network.

    Raises:
        RequestError: no such file; one that would have to execute code; tensors that the network lacks or that it misses,
            by name, or of another shape.
    """
    if not os.path.isfile(path):
        raise RequestError(f"there is no file of weights {path}")
    found = _tensors(path)
    wanted = module.state_dict(keep_vars=True)
    given = _without_prefix(found, wanted)
    tied = _tied(module)
    missing = [name for name in wanted if name not in given and not any(name in g and g & given.keys() for g in tied)]
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]  # of BatchNorm, from before torch 0.4.1
    unexpected = [name for name in given if name not in wanted]
    if missing or unexpected:
        parts = [f"{w}: {_listed(names)}" for w, names in (("missing", missing), ("unexpected", unexpected)) if names]
        raise RequestError(f"the weights in {path} are not those of {whose}: {'; '.join(parts)}")
    state = OrderedDict(given)
    # Under the present names they are of the present version; int8 modules without one look for names of old.
    state._metadata = getattr(wanted, "_metadata", None)  # type: ignore[attr-defined]
    try:
        module.load_state_dict(state, strict=False)
    except RuntimeError as error:  # shapes
        first = " ".join(str(error).split())[:300]
        raise RequestError(f"the weights in {path} are not those of {whose}: {first}") from error


def _tensors(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PK\x03\x04" or head[:1] == b"\x80":  # zip, or the pickle of before torch 1.6
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise RequestError(
                f"{path} contains more than tensors, and reading it would execute code: save only the weights, with "
                "torch.save(network.state_dict(), FILE)"
            ) from error
        except Exception as error:
            why = str(error)[:100] or "it ends too early"
            raise RequestError(f"{path} cannot be read as a file of weights: {why}") from error
        return _held(loaded, path)
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Any] = load_file(path)
    except Exception as error:
        raise RequestError(f"{path} was written neither by safetensors nor by torch.save: {str(error)[:100]}") from error
    return tensors


def _held(loaded: Any, path: Path) -> dict[str, Any]:
    """The weights among what a training script saved."""
    if isinstance(loaded, Mapping):
        for holder in HOLDERS:
            if isinstance(loaded.get(holder), Mapping):
                return _held(loaded[holder], path)
        if any(isinstance(value, Tensor) for value in loaded.values()):
            return {str(name): value for name, value in loaded.items()}
        keys = f"a dict with the keys {_listed([str(k) for k in loaded])}"
    else:
        keys = type(loaded).__name__
    raise RequestError(f"{path} contains {keys}: the weights should be under one of {', '.join(HOLDERS)}")


def _without_prefix(found: dict[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors under the network's own names, as far as taking off prefixes, or putting one on, gives them."""
    best, todo = found, [found]
    while todo:
        names = todo.pop()
        if len(names.keys() & wanted.keys()) > len(best.keys() & wanted.keys()):
            best = names
        for prefix in PREFIXES:
            if names and all(name.startswith(prefix) for name in names):
                todo.append({name.removeprefix(prefix): value for name, value in names.items()})
    if not best.keys() & wanted.keys():
        for prefix in PREFIXES:  # the network is wrapped, the weights are not
            added = {prefix + name: value for name, value in best.items()}
            if added.keys() & wanted.keys():
                return added
    return best


def _tied(module: nn.Module) -> list[set[str]]:
    """Names of parameters that are one and the same."""
    names: dict[int, set[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), set()).add(name)
    return [group for group in names.values() if len(group) > 1]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(name[:80] for name in names[:MAX_NAMES]) + more
