"""Images and labels from a notebook, in the types that notebooks have them in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from robustbench_zs.analysis.check_masking import masking
from robustbench_zs.datasets import LabelledImages, dataset_of_arrays
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import attack, evaluate, gap, robustness_curve, transfer_attack
from robustbench_zs.perturbations import PGD, GaussianNoise
from robustbench_zs.training import Checkpoint

N = 50


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    """A network that may be iterated over, which is no list of networks."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def accuracies(network: nn.Module, images: Any, labels: Any) -> list[float]:
    frame = evaluate(network, [GaussianNoise(0.1), PGD(0.02)], images=images, labels=labels, store=None)
    return [*frame["clean_accuracy"].tolist(), *frame["accuracy"].tolist()]


def test_every_type_gives_the_same(network: nn.Sequential, digits: LabelledImages) -> None:
    images, labels = digits.images(slice(0, N)), digits.labels[:N]
    expected = accuracies(network, images, labels)
    with torch.no_grad():
        assert expected[0] == pytest.approx(100 * float((network(images).argmax(1) == labels).float().mean()))
    for at_hand in (images.double(), images.numpy(), images[:, 0], images.double().numpy().tolist()):
        assert accuracies(network, at_hand, labels) == expected
    for numbers in (labels.int(), labels.byte(), labels.numpy().astype(np.int32), labels.tolist()):
        assert accuracies(network, images, numbers) == expected
    integers = (images * 255).byte()
    assert accuracies(network, integers, labels) == accuracies(network, integers.float() / 255, labels)


def test_all_functions_take_them(network: nn.Sequential, digits: LabelledImages, checkpoint: Checkpoint) -> None:
    images, labels = digits.images(slice(0, N)), digits.labels[:N]
    at_hand = dataset_of_arrays(images, labels, "some digits")
    same: dict[str, Any] = {"dataset": "digits", "examples": N, "store": None}
    for frame, other in (
        (attack(checkpoint, images=images, labels=labels, eps=0.1, store=None), attack(checkpoint, eps=0.1, **same)),
        (robustness_curve(network, eps=0.1, dataset=at_hand, steps=4, store=None), None),
        (masking(network, dataset=at_hand, images=5, store=None), None),
        (transfer_attack(network, network, dataset=at_hand, eps=0.1, store=None), None),
    ):
        assert set(frame["dataset"]) <= {"some digits", "arrays"}
        if other is not None:
            assert frame["accuracy"].tolist() == other["accuracy"].tolist()
    assert (
        attack(network, images=images, labels=labels, dataset="mnist", store=None)["perturbation"]
        .iloc[0]
        .startswith("pgd(eps=0.3")
    )


def test_labels_of_some_classes_only(network: nn.Sequential, digits: LabelledImages) -> None:
    few = digits.labels < 4
    assert (
        evaluate(network, images=digits.images()[few], labels=digits.labels[few], store=None)["examples"].item() == few.sum()
    )
    with pytest.raises(RequestError, match="should give 2×11 logits"):
        evaluate(network, images=digits.images()[:2], labels=[0, 10], store=None)


IMAGES, LABELS = np.zeros((3, 1, 8, 8), np.float32), np.zeros(3, np.int64)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (IMAGES, np.eye(3, 10), "float64 of shape 3×10: turn one-hot labels into"),
        (IMAGES, np.eye(3, 10, dtype=np.uint8), "turn one-hot labels into"),
        (IMAGES, LABELS[:2], "3 images but 2 labels"),
        (IMAGES, LABELS - 1, "labels must lie between 0 and .*, not between -1 and"),
        (IMAGES * 0 + 255, LABELS, "not between 255 and 255: divide by 255"),
        (IMAGES - 0.5, LABELS, "make the normalization a part of the network"),
        (IMAGES * np.nan, LABELS, "lie in"),
        (IMAGES.astype(np.int64), LABELS, "int64 of shape 3×1×8×8"),
        (IMAGES.reshape(3, 8, 8, 1), LABELS, "move the channels to the front"),
        (IMAGES[0, 0], LABELS, "of shape N×C×H×W, not float32 of shape 8×8"),
        ("images", LABELS, "must be an array of numbers"),
        (None, LABELS, "must be given together"),
        (IMAGES[:0], LABELS[:0], "contains no image"),
    ],
)
def test_what_is_refused(network: nn.Sequential, images: Any, labels: Any, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        evaluate(network, images=images, labels=labels, store=None)


def test_they_are_no_training_images(network: nn.Sequential) -> None:
    with pytest.raises(RequestError, match="no training images"):
        gap(network, dataset=dataset_of_arrays(IMAGES, LABELS), store=None)  # type: ignore[arg-type]
