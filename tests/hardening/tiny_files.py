"""The smallest files of each kind that are right, as values to be damaged; nothing of them is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save, save_file

from robustbench_zs.networks import network_from_name
from robustbench_zs.networks.build import build_network
from robustbench_zs.training.checkpoint import DIGEST_KEY, METADATA_KEY, weights_digest
from robustbench_zs.training.header import network_header

NETWORK = "preresnet8:widths=2-2-2"
DIGEST = "0" * 64

STUDY = """
name = "tiny"
schemes = ["euler"]
depths = [8]
widths = [2, 2, 2]
masking_images = 0
[dataset]
name = "digits"
train_examples = 32
test_examples = 16
[recipe]
epochs = 1
batch_size = 16
learning_rate = 0.01
"""


def study_with(top: str = "", **tables: str) -> str:
    """`STUDY` with lines added at the top, or in a table that it has or has not."""
    text = STUDY.replace("masking_images = 0\n", f"masking_images = 0\n{top}\n")
    for table, lines in tables.items():
        heading = f"[{table}]\n"
        text = text.replace(heading, f"{heading}{lines}\n") if heading in text else f"{text}{heading}{lines}\n"
    return text


def header() -> dict[str, Any]:
    """The header of a checkpoint of `NETWORK` on `digits`."""
    epoch = {"epoch": 1, "learning_rate": 0.1, "loss": 2.0, "train_accuracy": 10.0, "test_accuracy": None, "seconds": 1.0}
    return {
        "format": 1,
        "network": network_header(network_from_name(NETWORK), 1, 10).model_dump(mode="json"),
        "dataset": {"name": "digits", "train_digest": DIGEST, "train_examples": 32, "image_size": [8, 8], "resized": False},
        "recipe": {"epochs": 1},
        "seed": 0,
        "training_key": DIGEST,
        "execution": execution(),
        "history": [epoch],
        "diverged_at": None,
        "environment": {"torch": "2", "gpu": None},
    }


def execution() -> dict[str, Any]:
    """An execution choice as headers hold it."""
    return {"device": "cpu", "threads": 1, "layout": "channels_last", "processes": 1, "compiled": False, "places": 1}


def state_header() -> dict[str, Any]:
    """The header of the state of a training."""
    return {
        "training_key": DIGEST,
        "execution": execution(),
        "history": header()["history"],
        "best_accuracy": 0.0,
    }


def tensors() -> dict[str, Any]:
    """Weights and buffers of `NETWORK`."""
    return build_network(network_from_name(NETWORK), 1, 10, (0.0,), (1.0,)).state_dict()


def safetensors_with(text: str, state: dict[str, Any] | None = None) -> bytes:
    """A safetensors file with this text where the header belongs: a checkpoint with the weights of `NETWORK`, or a state."""
    stated = {} if state is None else {DIGEST_KEY: weights_digest("", state)}  # of a checkpoint it goes with the header
    content: bytes = save(tensors() if state is None else state, {METADATA_KEY: text, **stated})
    return content


def write_checkpoint(path: Path, changed: dict[str, Any] | None = None) -> Path:
    """A checkpoint of `NETWORK` with keys of the header changed."""
    save_file(tensors(), path, {METADATA_KEY: json.dumps({**header(), **(changed or {})})})
    return path


def baseline() -> dict[str, Any]:
    """A baseline of one network on eight images."""
    outcome = {"accuracy": 50.0, "correct": "8A=="}
    return {
        "zsbench_baseline": 1,
        "study": "tiny",
        "images": 8,
        "settings": {"dataset": "digits", "models": False},
        "networks": [{"network": NETWORK, "seed": 0, "digest": DIGEST, "outcomes": {"clean": outcome}}],
    }
