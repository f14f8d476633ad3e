"""Training: recipe, loop, augmentation, checkpoints."""

from robustbench_zs.training.checkpoint import Checkpoint, find_checkpoints, read_checkpoint
from robustbench_zs.training.recipe import RECIPES, Recipe, recipe_for, recipe_from_name, recipe_table
from robustbench_zs.training.table import training_table
from robustbench_zs.training.train import DEFAULT_NETWORKS, train
from robustbench_zs.training.zoo import load_model

__all__ = [
    "DEFAULT_NETWORKS",
    "RECIPES",
    "Checkpoint",
    "Recipe",
    "find_checkpoints",
    "load_model",
    "read_checkpoint",
    "recipe_for",
    "recipe_from_name",
    "recipe_table",
    "train",
    "training_table",
]
