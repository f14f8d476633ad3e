"""Where images and labels come from: always float32 in [0, 1], N×C×H×W."""

from robustbench_zs.datasets.images import Dataset, LabelledImages
from robustbench_zs.datasets.load import DATASETS, load_dataset

__all__ = ["DATASETS", "Dataset", "LabelledImages", "load_dataset"]
