"""Adversarial images as files: what the files hold fools the network, inside the ball."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from robustbench_zs.cli.main import main
from robustbench_zs.datasets import LabelledImages, dataset_of_arrays
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import save_examples
from robustbench_zs.perturbations import FGSM, PGD, Square
from robustbench_zs.training import Checkpoint

N = 40


def check_files(folder: Path, network: nn.Module, data: LabelledImages, eps: float) -> pd.DataFrame:
    """The index, when every file in it fools the network from within the ball, and no other file is there."""
    index = pd.read_csv(folder / "index.csv")
    assert len(index) > 0
    assert {str(p.relative_to(folder)) for p in folder.rglob("*.png")} == set(index["file"])
    for row in index.to_dict("records"):
        pixels = torch.from_numpy(np.atleast_3d(np.asarray(Image.open(folder / row["file"]))).copy()).permute(2, 0, 1)
        image, original = pixels[None].float() / 255, data.images(slice(row["image"], row["image"] + 1))
        with torch.no_grad():
            assert int(network(image).argmax()) == row["prediction"] != row["label"] == int(data.labels[row["image"]])
            assert int(network(original).argmax()) == row["label"]
        assert float((image - original).abs().max()) == pytest.approx(row["distance"], abs=1e-6)
        assert row["distance"] <= eps + 1e-6
    return index


def test_files_of_a_command(
    checkpoint: Checkpoint, digits: LabelledImages, working_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["attack", "--pgd", str(checkpoint.path), "--eps", "0.1", "--examples", str(N), "--save", "out"])
    printed = capsys.readouterr()
    assert end.value.code == 0, printed.err
    index = check_files(Path("out"), checkpoint.network(), digits, 0.1)
    assert f"{len(index)} examples that fool with 8 bits are in out" in printed.err


@pytest.mark.parametrize("channels", [1, 3])
def test_an_example_that_rounding_undoes_is_searched_again(tmp_path: Path, channels: int) -> None:
    """At ε = 1/255 every change is one level or none; images lie between levels, so that rounding moves each pixel."""
    torch.manual_seed(0)
    images = torch.rand(200, channels, 8, 8) * 0.8 + 0.1
    network = nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, 10))
    with torch.no_grad():
        labels = network(images).argmax(1)
    data = LabelledImages(images, labels, 10)
    attack = PGD(1.5 / 255, steps=10)
    saved = save_examples(network, [attack], tmp_path, dataset=dataset_of_arrays(images, labels))
    index = check_files(tmp_path, network, data, 1.5 / 255)
    changed = attack(network.requires_grad_(False), images, labels, torch.arange(200))
    fooled = network(changed).argmax(1) != labels
    rounded = (changed * 255).round() / 255
    inside = (rounded - images).abs().flatten(1).amax(1) <= 1.5 / 255
    by_rounding = set((fooled & inside & (network(rounded).argmax(1) != labels)).nonzero()[:, 0].tolist())
    assert len(index) + saved.lost == int(fooled.sum())
    assert by_rounding < set(index["image"])


def test_what_is_not_saved(checkpoint: Checkpoint, tmp_path: Path) -> None:
    for attack in (PGD(0.5, norm="l2"), PGD(0.1, target="3"), Square(0.1)):
        with pytest.raises(RequestError, match="L∞ ball"):
            save_examples(checkpoint, [FGSM(0.1), attack], tmp_path)
    two = dataset_of_arrays(np.zeros((2, 2, 8, 8), np.float32), [0, 0])
    with pytest.raises(RequestError, match="one channel or three, not 2"):
        save_examples(nn.Sequential(nn.Flatten(), nn.Linear(128, 2)), [FGSM(0.1)], tmp_path, dataset=two)
