"""The real CIFAR-10 and MNIST, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from robustbench_zs.datasets import load_dataset

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(not (DATA / "cifar10").is_dir(), reason="CIFAR-10 and MNIST are not in ../shared/data")


def test_mnist_has_its_published_statistics() -> None:
    mnist = load_dataset("mnist", DATA)
    assert (len(mnist.train), len(mnist.test), mnist.train.shape) == (60_000, 10_000, (1, 28, 28))
    mean, std = mnist.train.channel_statistics()
    assert mean == pytest.approx([0.1307], abs=5e-5)
    assert std == pytest.approx([0.3081], abs=5e-5)


def test_a_prefix_of_cifar_10() -> None:
    cifar = load_dataset("cifar10", DATA, train_examples=4000, test_examples=1000)
    assert (len(cifar.train), len(cifar.test), cifar.train.shape) == (4000, 1000, (3, 32, 32))
    assert cifar.class_names is not None
    assert cifar.class_names[0] == "airplane"
    mean, std = cifar.train.channel_statistics()
    assert mean == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.01)
    assert std == pytest.approx([0.2470, 0.2435, 0.2616], abs=0.01)
    assert cifar.test.labels.bincount().tolist() == pytest.approx([100] * 10, abs=30)
