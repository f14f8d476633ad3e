"""What is fuzzed: for each kind of file or text its cases, and what is done with one.

A case passes if it ends well or with one of the project's errors, within ten seconds, and leaves no file behind.
"""

from __future__ import annotations

import io
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import fuzz_command_line
import numpy as np
import torch
from hostile_values import damaged, damaged_bytes, json_values, texts, to_json, toml_file, toml_values
from hypothesis import strategies as st
from image_files import encode, random_pixels, write_parquet
from tiny_files import DIGEST, NETWORK, baseline, header, safetensors_with, state_header, tensors

from robustbench_zs.datasets import load_dataset
from robustbench_zs.datasets.decode import decode_images
from robustbench_zs.errors import ZsbenchError
from robustbench_zs.gate import Rule, compare, read_baseline
from robustbench_zs.gate.rendering import github_annotations, junit_xml, markdown_summary
from robustbench_zs.networks import network_from_name
from robustbench_zs.networks.build import build_network
from robustbench_zs.networks.table import networks_table
from robustbench_zs.perturbations import parse_number
from robustbench_zs.perturbations.corruptions import published_images
from robustbench_zs.schemes import MultistepScheme, scheme_from_name
from robustbench_zs.schemes.table import roots_table
from robustbench_zs.studies.load import find_study, load_study
from robustbench_zs.studies.plan import make_plan
from robustbench_zs.training import read_checkpoint, training_table
from robustbench_zs.training.state import StateFile, restore
from robustbench_zs.training.trial import _known

SECONDS = 10.0

Case = Any


class HangError(BaseException):
    """A case takes too long; no `except Exception` of the code under test holds it up."""


@dataclass(frozen=True)
class Target:
    """`run` gets an empty folder and one of `cases`; where that is bytes or text, they are the file FILE in the folder."""

    name: str
    cases: st.SearchStrategy[Any]
    run: Callable[[Path, Case], object]
    file: str | None = None

    def check(self, case: Case) -> None:
        """Raises: AssertionError, or what the code under test lets through: the case fails."""
        with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
            folder = Path(place)
            if self.file is not None:
                path = folder / self.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(case if isinstance(case, bytes) else case.encode())
            before = set(folder.rglob("*"))
            with within(SECONDS):
                said = "done"
                try:
                    self.run(folder / self.file if self.file is not None else folder, case)
                except ZsbenchError as error:
                    said = str(error)
            assert 0 < len(said) < 20_000, "the error is no sentence"
            if self.file is not None:
                left = {str(p.relative_to(folder)) for p in set(folder.rglob("*")) - before}
                assert not left, f"files were left behind: {left}"


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises: HangError: the block takes longer."""

    def ring(signum: int, frame: FrameType | None) -> None:
        raise HangError(f"not done within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def use_study(path: Path, case: Case) -> None:
    for scale in (None, "smoke", "small"):
        try:
            loaded = load_study(path, scale)
        except ZsbenchError:
            if scale is None:
                raise
            continue
        for part in loaded.trainings() if loaded.size else ():
            if len(part.specs()) * len(part.seeds) <= 20:
                make_plan(part).table()


def use_checkpoint(path: Path, case: Case) -> None:
    checkpoint = read_checkpoint(path)
    checkpoint.network()
    training_table([checkpoint])


def use_state(path: Path, case: Case) -> None:
    state = StateFile(path, DIGEST, {}).read()
    if state is not None:
        network = build_network(network_from_name(NETWORK), 1, 10, (0.0,), (1.0,))
        restore(state, network, torch.optim.SGD(network.parameters(), 0.1), {"order": torch.Generator()})


def use_baseline(path: Path, case: Case) -> None:
    found = read_baseline(path)
    comparisons = compare(found.entries, found.entries, Rule(), power=False)
    junit_xml(found.study, comparisons)
    markdown_summary(found.study, comparisons, Rule())
    github_annotations(comparisons)
    found.check_settings(found)


def use_coefficients(folder: Path, case: list[str]) -> None:
    *alphas, beta = case
    parse_number(beta, "beta", -1, 1)
    roots_table([MultistepScheme(alphas, beta)], 18)


def use_name(folder: Path, case: str) -> None:
    for read in (scheme_from_name, network_from_name):
        try:
            name = read(case).name
        except ZsbenchError:
            continue
        assert name is not None
        assert read(name).name == name


def use_parquet(path: Path, case: Case) -> None:
    dataset = load_dataset(str(path.parent))
    for split in (dataset.train, dataset.test):
        split.images()


def use_image(path: Path, case: Case) -> None:
    decode_images([("image", path.read_bytes())])


def use_array(path: Path, case: Case) -> None:
    published_images(path, 1)


@cache
def good_files() -> dict[str, bytes]:
    """Files that are right, to be damaged."""
    with tempfile.TemporaryDirectory() as place:
        pixels = random_pixels()
        path = write_parquet(Path(place) / "x.parquet", [encode(p) for p in pixels], [0, 1, 2] * 4, names=["a", "b", "c"])
        array = io.BytesIO()
        np.save(array, np.zeros((5, 4, 4, 3), np.uint8))
        return {
            "parquet": path.read_bytes(),
            "png": encode(pixels[0]),
            "webp": encode(pixels[0], "WEBP"),
            "bmp": encode(pixels[0], "BMP"),
            "npy": array.getvalue(),
            "checkpoint": safetensors_with(to_json(header())),
            "state": safetensors_with(to_json(state_header()), state_tensors()),
            "baseline": to_json(baseline()).encode(),
        }


def state_tensors() -> dict[str, Any]:
    """What the state of a training of `NETWORK` holds."""
    return {f"network.{n}": t for n, t in tensors().items()} | {"generator.order": torch.Generator().get_state()}


FULL_STUDY: dict[str, Any] = {
    "name": "full",
    "title": "Everything",
    "note": "All tables",
    "schemes": ["euler", "lm:k=0.5", {"alphas": ["1/3", "5/9", "1/9"], "beta": "16/9"}],
    "depths": [20],
    "networks": ["zerosnet20-tra"],
    "seeds": [0, 1],
    "engine": "native",
    "masking_images": 10,
    "dataset": {"name": "digits", "train_examples": 32, "test_examples": 16},
    "recipe": {"name": "digits", "epochs": 2, "learning_rate": 0.05, "weights": "last", "precision": "float32"},
    "perturbations": [
        {"kind": "gaussian", "delta": [0.1, "1/5"], "seed": 3},
        {"kind": "uniform", "low": -0.1, "high": 0.1},
        {"kind": "constant", "mu": 0.3},
        {"kind": "fgsm", "eps": ["8/255"]},
        {"kind": "pgd", "eps": [0.1, 0.2], "steps": 3, "restarts": 2, "norm": "l2", "step_size": 0.1},
        {"kind": "apgd", "eps": 0.1, "loss": "dlr"},
        {"kind": "square", "eps": 0.1, "queries": 5},
        {"kind": "autoattack", "eps": 0.1},
        {"kind": "clean", "top": 5},
    ],
    "transfer": {"kind": "pgd", "eps": 0.1, "steps": 2},
    "curve": {"eps": 0.3, "steps": 3},
    "scale": {"smoke": {"epochs": 1, "depths": [8], "seeds": [0]}, "small": {"train_examples": 10}},
}
COLLECTION: dict[str, Any] = {
    "name": "whole",
    "paper": "table1",
    "schemes": ["euler"],
    "dataset": {"name": "digits"},
    "scale": {"smoke": {"epochs": 1}},
    "parts": [{"name": "a", "depths": [20]}, {"name": "b", "depths": [32], "scale": {"smoke": {"depths": [8]}}}],
}
MEASUREMENT: dict[str, Any] = {
    "name": "cost",
    "measure": "runtime",
    "schemes": ["euler"],
    "depths": [20],
    "batch_sizes": [1, 8],
    "images": 10,
    "scale": {"smoke": {"repeats": 1}},
}

shipped = st.sampled_from(("digits", "table1", "table2", "table3", "table7", "figure4", "cifar10-small")).flatmap(
    lambda name: damaged_bytes(find_study(name).read_bytes())
)
studies = st.one_of(
    *(damaged(s, toml_values).map(toml_file) for s in (FULL_STUDY, FULL_STUDY, COLLECTION, MEASUREMENT)), shipped
)
coefficient_texts = st.one_of(
    st.from_regex(r"[+-]?\d{1,3}(\.\d{1,3})?([eE][+-]?\d{1,2})?(/\d{1,3})?", fullmatch=True),
    st.from_regex(r"[+-]?[\d.]{1,45}([eE][+-]?\d{1,3})?( ?/ ?\d{1,42})?", fullmatch=True),
    st.floats().map(float.hex),
    st.floats().map(repr),
    texts,
)
coefficient_lists = st.one_of(
    st.lists(coefficient_texts, min_size=2, max_size=8),
    st.builds(lambda texts, times: texts * times, st.lists(coefficient_texts, min_size=1, max_size=9), st.integers(2, 14)),
)
NAME_PARTS = (
    *(
        "euler",
        "preresnet",
        "lm",
        "zerosnet",
        "zerosnet-opt",
        "table10-1",
        "multistep",
        "resnet",
        "lm-resnet",
        "-opt",
        "-tra",
    ),
    *(":", ",", "=", "-", "/", " ", "alpha", "k", "lambda", "beta", "printed", "alphas", "depth", "block", "widths", "form"),
    *(
        "basic",
        "bottleneck",
        "imagenet",
        "20",
        "56",
        "164",
        "18",
        "0.5",
        "1/3",
        "-1",
        "8-16-32",
        "999999",
        "1e400",
        "nan",
        "２０",
    ),
)
names = st.one_of(
    st.lists(st.sampled_from(NAME_PARTS), min_size=1, max_size=12).map("".join),
    st.sampled_from(("lm-resnet44:k=-0.5", "table10-1:depth=56", "zerosnet18-opt:form=imagenet", "preresnet32:alpha=0.7"))
    .flatmap(lambda name: damaged_bytes(name.encode()))
    .map(lambda data: data.decode(errors="replace")),
    texts,
)


def _targets() -> list[Target]:
    good = good_files()
    networks_table([NETWORK])  # so that no case waits for what torch imports for it, which takes seconds
    headers = damaged(header(), json_values).map(lambda h: safetensors_with(to_json(h)))
    states = damaged(state_header(), json_values).map(lambda h: safetensors_with(to_json(h), state_tensors()))
    baselines = damaged(baseline(), json_values).map(lambda b: to_json(b).encode())
    choices = damaged({"[1]": {"compiled": False, "places": 2}, "[2]": {}}, json_values).map(to_json)
    images = st.sampled_from(("png", "webp", "bmp")).flatmap(lambda kind: damaged_bytes(good[kind]))
    return [
        Target("study files", studies, use_study, "a.toml"),
        Target("checkpoint headers", headers, use_checkpoint, "a.safetensors"),
        Target("checkpoint bytes", damaged_bytes(good["checkpoint"]), use_checkpoint, "a.safetensors"),
        Target("state files", states | damaged_bytes(good["state"]), use_state, "a.state.safetensors"),
        Target("baselines", baselines | damaged_bytes(good["baseline"]), use_baseline, "a.json"),
        Target("coefficients", coefficient_lists, use_coefficients),
        Target("names", names, use_name),
        Target("Parquet", damaged_bytes(good["parquet"]), use_parquet, "own/train.parquet"),
        Target("images", images, use_image, "a.png"),
        Target("arrays", damaged_bytes(good["npy"]), use_array, "fog.npy"),
        Target("execution choices", choices, lambda path, case: _known(path), "execution.json"),
        Target("command line", fuzz_command_line.commands, fuzz_command_line.run_command),
    ]


TARGETS = {target.name: target for target in _targets()}

os.environ.setdefault("ZSBENCH_DATA_DIR", "data")
