"""Loads study files as checked values, in full or scaled down."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from robustbench_zs.errors import RequestError
from robustbench_zs.perturbations.make import perturbation_kinds
from robustbench_zs.studies.perturbation_table import table_of
from robustbench_zs.studies.study import (
    HIDDEN,
    CurveTable,
    DatasetTable,
    RecipeTable,
    Study,
    TransferTable,
)
from robustbench_zs.studies.study_networks import AtlasTable, ScaleTable, SchemeTable
from robustbench_zs.studies.toml import read_toml

MAX_PARTS = 100


def find_study(study: str | Path) -> Path:
    """The file of a study: a path, or a name looked up in `benchmarks/` and then among those the package ships.

    Raises:
        RequestError: there is none; the message lists those that exist.
    """
    path = Path(study)
    if os.path.isfile(path):  # False too for a name too long for a path
        return path
    name = str(study)
    places = _places()
    if re.fullmatch(r"[A-Za-z0-9._-]+", name):
        for place in places:
            if os.path.isfile(place / f"{name}.toml"):
                return place / f"{name}.toml"
    raise RequestError(f"there is no study {name[:200]!r}: give a TOML file, or choose from {', '.join(known_studies())}")


def known_studies() -> list[str]:
    """Names of the studies in `benchmarks/` and of those the package ships."""
    return sorted({p.stem for place in _places() if place.is_dir() for p in place.glob("*.toml")})


def _places() -> list[Path]:
    return [Path("benchmarks"), Path(str(resources.files("robustbench_zs"))) / "benchmarks"]


def load_study(study: str | Path, scale: str | None = None) -> Study:
    """Read and check a study file. Decimals in it are kept as text, so coefficients are exact.

    Of a file with `[[parts]]`, each part is a study with the keys of the file and its own, by the name NAME-PART.

    Args:
        study: a TOML file, or the name of a study.
        scale: one of the scaled-down forms in the file, `"smoke"` or `"small"`; its results go by the name NAME-SCALE.

    Raises:
        RequestError: there is no such study or scale, the file is not TOML, a key is unknown, or a value is not allowed; the
            message names the place.

    Examples:
        >>> study = zs.load_study("digits")
        >>> len(study.specs()), study.seeds
        (10, [0, 1])
    """
    path = find_study(study)
    data = read_toml(path)
    try:
        if "parts" in data:
            return _of_parts(data, scale, path)
        return _checked(data, scale, path)
    except ValidationError as error:
        raise RequestError(f"{path}: {_sentence(error)}") from error


def _checked(data: dict[str, Any], scale: str | None, path: Path, request: str = "") -> Study:
    for key in data.keys() & HIDDEN:
        raise RequestError(f"{path}: the key {key!r} cannot be set in a study file")
    full = Study.model_validate(data)
    for control in full.controls:
        find_study(control)
    request = request or full.name + (f" --scale {scale}" if scale else "")
    changed = data if scale is None else _scaled_down(data, full, scale)
    return Study.model_validate({**changed, "request": request})


def _of_parts(data: dict[str, Any], scale: str | None, path: Path) -> Study:
    """A study of several parts; what a part does not say the file says for all."""
    parts = data["parts"]
    if not (isinstance(parts, list) and all(isinstance(p, dict) and isinstance(p.get("name"), str) for p in parts)):
        raise RequestError(f"{path}: each of the [[parts]] must be a table with a name")
    names = [part["name"] for part in parts]
    if not 1 <= len(parts) <= MAX_PARTS or len(set(names)) < len(names):
        raise RequestError(f"{path}: there must be 1 to {MAX_PARTS} parts, each with a name of its own")
    tables = [holder.get("scale", {}) for holder in (data, *parts)]
    if not all(isinstance(t, dict) and all(isinstance(form, dict) for form in t.values()) for t in tables):
        raise RequestError(f"{path}: scale must contain one table per scaled-down form, such as [scale.small]")
    common = {key: value for key, value in data.items() if key not in ("parts", "paper")}
    request = f"{data.get('name')}" + (f" --scale {scale}" if scale else "")
    studies = []
    for part in parts:
        scales = {s: {**t, **part.get("scale", {}).get(s, {})} for s, t in data.get("scale", {}).items()}
        named = {"name": f"{data.get('name')}-{part['name']}", "scale": scales}
        studies.append(_checked({**common, **part, **named}, scale, path, request))
    name = f"{data.get('name')}" + (f"-{scale}" if scale else "")
    own = {"name": name, "title": data.get("title", ""), "note": data.get("note", ""), "paper": data.get("paper")}
    if any(study.measured for study in studies):
        raise RequestError(f"{path}: the parts of a study train networks, so the key 'measure' cannot stand beside them")
    scaled = "; ".join(f"{study.name}: {study.scaled}" for study in studies if study.scaled)
    return Study.model_validate({**studies[0].model_dump(), **own, "request": request, "scaled": scaled, "parts": studies})


def _scaled_down(data: dict[str, Any], full: Study, scale: str) -> dict[str, Any]:
    """The content of a study file with what a scale replaces, and a text that says what that is."""
    tables: dict[Any, ScaleTable] = dict(full.scale)
    if scale not in tables:
        there_are = f"choose from {', '.join(tables)}" if tables else "it can only be run in full"
        raise RequestError(f"the study {full.name!r} has no scale {scale[:40]!r}: {there_are}")
    places = {"epochs": "recipe", "schemes_per_half": "atlas"}
    places |= dict.fromkeys(("train_examples", "test_examples", "image_size"), "dataset")
    if full.measured:
        places = {}
    before = full.before()
    result = {**data, "name": f"{full.name}-{scale}", "scale": {}}
    if "checkpoints" in data:  # of the other study at the same scale
        result["checkpoints"] = f"{data['checkpoints']}-{scale}"
    result.pop("controls", None)  # those are of networks at full scale
    texts = []
    for key, value in tables[scale].model_dump(exclude_none=True).items():
        if key in places:
            result[places[key]] = {**result.get(places[key], {}), key: value}
        else:
            result[key] = value
        now, was = (
            " ".join(map(str, v)) if isinstance(v, list) else v
            for v in (len(value) if key in ("schemes", "networks") else value, before[key])
        )
        if now != was:
            texts.append(f"{key.replace('_', ' ')} {now} instead of {was}")
    return {
        **result,
        "scaled": f"`{scale}`: {', '.join(texts) or 'no different'}",
        "paper_depths": full.paper_depths or full.depths,
    }


def _sentence(error: ValidationError) -> str:
    """The first problem as one sentence, with the keys that are allowed where one is unknown."""
    # An unknown key is what the user can mend first; it often is the cause of a missing one.
    problems = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    problem = problems[0]
    place = ".".join(str(part) for part in problem["loc"] if part not in ("str", "SchemeTable", "measured"))
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(_fields_beside(problem["loc"]))
        return f"unknown key {place!r}: choose from {allowed}"
    if problem["type"] == "missing":
        return f"the key {place!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    given = "" if problem["type"] == "value_error" else f", not {str(problem['input'])[:80]!r}"
    return f"{place}: {message[0].lower()}{message[1:]}{given}" if place else message


def _fields_beside(location: tuple[int | str, ...]) -> list[str]:
    tables: dict[str, type[BaseModel]] = {
        "dataset": DatasetTable,
        "atlas": AtlasTable,
        "recipe": RecipeTable,
        "smoke": ScaleTable,
        "small": ScaleTable,
        "schemes": SchemeTable,
        "transfer": TransferTable,
        "curve": CurveTable,
    }
    tables |= {name: table_of(kind) for name, kind in perturbation_kinds().items()}
    owner: type[BaseModel] = Study
    for part in location[:-1]:
        owner = tables.get(str(part), owner)
    return list(owner.model_fields)
