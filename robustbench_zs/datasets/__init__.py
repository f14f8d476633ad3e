"""Where images and labels come from: always float32 in [0, 1], N×C×H×W."""

from robustbench_zs.datasets.arrays import dataset_of_arrays
from robustbench_zs.datasets.images import Dataset, LabelledImages, Split
from robustbench_zs.datasets.known import KNOWN
from robustbench_zs.datasets.load import load_dataset

__all__ = ["KNOWN", "Dataset", "LabelledImages", "Split", "dataset_of_arrays", "load_dataset"]
