"""Where images and labels come from: always float32 in [0, 1], N×C×H×W."""

from robustbench_zs.datasets.images import Dataset, LabelledImages, Split
from robustbench_zs.datasets.load import DATASETS, load_dataset

__all__ = ["DATASETS", "Dataset", "LabelledImages", "Split", "load_dataset"]
