"""The 1,797 handwritten digits (8×8, 17 grey levels) that come inside scikit-learn; no network needed."""

from __future__ import annotations

import torch

from robustbench_zs.datasets.images import Dataset, LabelledImages

TEST_IMAGES = 360


def load_digits() -> Dataset:
    """1,437 training and 360 test images, 1×8×8, ten classes; the split is stratified, shuffled and always the same."""
    from sklearn.datasets import load_digits as sklearn_digits
    from sklearn.model_selection import train_test_split

    digits = sklearn_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        digits.images, digits.target, test_size=TEST_IMAGES, stratify=digits.target, random_state=0
    )

    def split(x: object, y: object) -> LabelledImages:
        return LabelledImages(torch.tensor(x).to(torch.uint8).unsqueeze(1), torch.tensor(y).long(), 10, levels=16)

    splits = {"train": split(train_x, train_y), "test": split(test_x, test_y)}
    return Dataset("digits", 10, splits.__getitem__, tuple("0123456789"))
