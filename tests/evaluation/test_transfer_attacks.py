from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from robustbench_zs.datasets import LabelledImages
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import measure, transfer_attack
from robustbench_zs.perturbations import FGSM, PGD
from robustbench_zs.perturbations.transfer import Transfer, transferable
from robustbench_zs.training import Checkpoint, Recipe, train

CPU = torch.device("cpu")
EPS = 0.15


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A network of another scheme, not zero-stable."""
    recipe = Recipe(epochs=8, batch_size=16, learning_rate=0.05)
    folder = tmp_path_factory.mktemp("other")
    name = "table10-1:depth=20,widths=4-8-16"
    return train([name], recipe=recipe, train_examples=400, folder=folder, device="cpu", threads=1)[0]


def test_a_target_sees_the_examples_of_the_source(checkpoint: Checkpoint, other: Checkpoint, digits: LabelledImages) -> None:
    frame = transfer_attack([other], [checkpoint], eps=EPS, store=None, threads=1, batch_size=100)
    source, target = (c.network().eval().requires_grad_(False) for c in (other, checkpoint))
    examples = PGD(EPS, last=True)(source, digits.images(), digits.labels, torch.arange(len(digits)))
    with torch.no_grad():
        right = (target(examples).argmax(1) == digits.labels) & (target(digits.images()).argmax(1) == digits.labels)
    (row,) = frame.to_dict("records")
    assert abs(row["accuracy"] - 100 * float(right.float().mean())) < 0.6  # two of 360 images may be near ties
    assert row["drop"] > 5
    assert (row["network"], row["source_network"]) == (checkpoint.header.network.name, other.header.network.name)
    assert (row["zero_stable"], row["source_zero_stable"]) == (True, False)


def test_its_own_examples_are_the_last_iterates_of_pgd(checkpoint: Checkpoint, digits: LabelledImages) -> None:
    frame = transfer_attack([checkpoint], [checkpoint], eps=EPS, store=None, threads=1)
    network = checkpoint.network()
    clean = measure(network, digits, None, device=CPU, batch_size=256)
    own = measure(network, digits, PGD(EPS, last=True), device=CPU, batch_size=256, clean=clean)
    assert abs(frame["accuracy"].iloc[0] - own.accuracy) < 0.6


def test_results_are_stored_by_source_and_attack(
    checkpoint: Checkpoint, other: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(eps: float, kind: str = "pgd") -> list[float]:
        frame = transfer_attack(
            [checkpoint, other], [checkpoint, other], kind, eps=eps, examples=60, store=tmp_path / "s.sqlite", threads=1
        )
        assert len(frame) == 4
        return [float(a) for a in frame["accuracy"]]

    first = made(EPS)
    assert first[0] < first[1]
    assert first[3] < first[2]  # a network's own examples fool it most
    assert made(0.01) != first
    assert made(EPS, "fgsm") != first
    monkeypatch.setattr(Transfer, "__call__", None)
    assert made(EPS) == first


def test_an_image_that_is_wrong_when_clean_counts_as_wrong(diverged: Checkpoint, checkpoint: Checkpoint) -> None:
    frame = transfer_attack([diverged, checkpoint], [diverged, checkpoint], eps=EPS, examples=40, store=None, threads=1)
    accuracy = dict(zip(zip(frame["source_seed"], frame["digest"], strict=True), frame["accuracy"], strict=True))
    assert len(accuracy) >= 2
    by_network = frame[frame["digest"] == diverged.digest]
    assert by_network["accuracy"].tolist() == [0, 0]
    assert np.isfinite(frame["accuracy"]).all()


@pytest.mark.parametrize(
    "attack", [PGD(EPS), PGD(EPS, "foolbox"), PGD(EPS, last=True, below=(0.1,)), PGD(EPS, last=True, restarts=2)]
)
def test_only_whole_attacks_of_our_own_are_transferred(attack: PGD) -> None:
    with pytest.raises(RequestError, match="our own engine"):
        Transfer(attack, "digest", "name")


def test_only_attacks_by_gradients_are_transferred() -> None:
    assert transferable("fgsm", EPS) == FGSM(EPS)
    assert transferable("pgd", EPS, steps=3) == PGD(EPS, steps=3, last=True)
    with pytest.raises(RequestError, match="apgd"):
        transferable("apgd", EPS)
