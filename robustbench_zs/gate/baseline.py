"""Baselines: recorded outcomes of networks in one JSON file, small enough to be kept and reviewed in git."""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import FailFast, Field, ValidationError

from robustbench_zs.errors import RequestError
from robustbench_zs.system.files import write_atomically
from robustbench_zs.system.limits import Name, Seed, at_most
from robustbench_zs.training.header import Part, first_problem

FORMAT = 1
MAX_FILE_BYTES = 32 * 2**20
MAX_IMAGES = 10_000_000
MAX_NETWORKS = 10_000
MAX_PERTURBATIONS = 1000


@dataclass(frozen=True, eq=False)
class Entry:
    """One network: `correct` has by the label of each perturbation a bool array, one value per image, `clean` included."""

    network: str
    seed: int | None
    digest: str
    correct: dict[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Baseline:
    """Outcomes of the networks of a study, with every setting that they depend on.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> tiny = zs.Study(
        ...     name="tiny", schemes=["euler"], depths=[8], widths=[2, 2, 2], recipe={"epochs": 1},
        ...     dataset={"name": "digits", "train_examples": 20, "test_examples": 20},
        ... )
        >>> baseline = zs.make_baseline(tiny, "baseline.json", models=[net])
        >>> baseline.study, len(baseline.entries)
        ('tiny', 1)
    """

    study: str
    settings: dict[str, Any]
    entries: tuple[Entry, ...]

    @property
    def images(self) -> int:
        """How many each outcome is of."""
        return len(next(iter(self.entries[0].correct.values())))

    def check_settings(self, now: Baseline) -> None:
        """Refuse a comparison if a setting, a network or a perturbation differs; the `RequestError` names the first."""
        before, after = (
            {
                "study": b.study,
                **b.settings,
                "perturbations": _read(b.settings.get("perturbations")),
                "networks": _names(b),
                "images": b.images,
                "outcomes": sorted(b.entries[0].correct),
            }
            for b in (self, now)
        )
        for place, was, is_ in _differences(before, after):
            raise RequestError(
                f"the baseline was made with other settings: {place} was {_short(was)} and is {_short(is_)} now; make a new "
                "baseline"
            )


def _read(perturbations: Any) -> Any:
    """The settings of perturbations as values, so that the one that differs can be named."""
    if not isinstance(perturbations, dict):
        return perturbations
    read = dict(perturbations)
    for label, key in perturbations.items():
        with suppress(ValueError, TypeError, RecursionError):  # "clean", and what a stranger's file may have
            read[label] = json.loads(key)
    return read


def _names(baseline: Baseline) -> Any:
    """The networks that must be the same; a model of the user's own may be another one now."""
    if baseline.settings.get("models"):
        return len(baseline.entries)
    return [[entry.network, entry.seed] for entry in baseline.entries]


def _differences(before: Any, now: Any, place: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*before, *(k for k in now if k not in before)]
        return [d for k in keys for d in _differences(before.get(k), now.get(k), f"{place}.{k}" if place else k)]
    return [] if before == now else [(place, before, now)]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "…"


class _Outcome(Part):
    accuracy: float
    correct: str


class _Network(Part):
    network: Name = Field(max_length=10_000)
    seed: Seed | None
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    outcomes: Annotated[dict[Name, _Outcome], at_most(MAX_PERTURBATIONS), Field(min_length=1)]


class _File(Part):
    zsbench_baseline: int = Field(ge=FORMAT, le=FORMAT)
    study: Name = Field(max_length=200)
    images: int = Field(ge=1, le=MAX_IMAGES)
    settings: dict[str, Any]
    networks: Annotated[list[_Network], FailFast(), at_most(MAX_NETWORKS), Field(min_length=1)]


def write_baseline_file(path: Path, baseline: Baseline) -> None:
    """Write a baseline: accuracies in percent to read, outcomes as packed bits in base64 to compare image by image.

    Raises:
        UnfinishedError: the file cannot be written.
    """
    content = {
        "zsbench_baseline": FORMAT,
        "study": baseline.study,
        "images": baseline.images,
        "settings": baseline.settings,
        "networks": [
            {
                "network": entry.network,
                "seed": entry.seed,
                "digest": entry.digest,
                "outcomes": {
                    label: {
                        "accuracy": round(100 * float(correct.mean()), 4),
                        "correct": base64.b64encode(np.packbits(correct).tobytes()).decode(),
                    }
                    for label, correct in entry.correct.items()
                },
            }
            for entry in baseline.entries
        ],
    }
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_baseline(path: Path | str) -> Baseline:
    """Read and verify a baseline.

    Raises:
        RequestError: there is no such file, or it is not a baseline.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> tiny = zs.Study(
        ...     name="tiny", schemes=["euler"], depths=[8], widths=[2, 2, 2], recipe={"epochs": 1},
        ...     dataset={"name": "digits", "train_examples": 20, "test_examples": 20},
        ... )
        >>> made = zs.make_baseline(tiny, "baseline.json", models=[net])
        >>> zs.read_baseline("baseline.json").study
        'tiny'
    """
    path = Path(path)
    if not os.path.isfile(path):  # True for no path that is too long
        raise RequestError(f"there is no baseline {path}: make one first, for example with `zsbench baseline`")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise RequestError(f"{path} is larger than a baseline can be (32 MiB)")
    try:
        file = _File.model_validate_json(path.read_bytes().removeprefix(codecs.BOM_UTF8))
        entries = tuple(
            Entry(n.network, n.seed, n.digest, {label: _unpack(o.correct, file.images) for label, o in n.outcomes.items()})
            for n in file.networks
        )
    except ValidationError as error:
        raise RequestError(f"{path} is not a baseline: {first_problem(error)}") from error
    except (ValueError, OSError) as error:
        raise RequestError(f"{path} is not a baseline: {str(error)[:200]}") from error
    labels = set(entries[0].correct)
    if any(set(entry.correct) != labels for entry in entries):
        raise RequestError(f"{path} is not a baseline: its networks have different perturbations")
    return Baseline(file.study, file.settings, entries)


def _unpack(text: str, images: int) -> npt.NDArray[np.bool_]:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"its outcomes are not base64: {error}") from error
    if len(data) != -(-images // 8):
        raise ValueError(f"it has the outcomes of {8 * len(data)} images instead of {images}")
    return np.unpackbits(np.frombuffer(data, np.uint8), count=images).astype(np.bool_)
