"""Noise and attacks: an image batch in, an image batch out."""

from robustbench_zs.perturbations.attacks import FGSM, PGD, Square
from robustbench_zs.perturbations.base import Perturbation
from robustbench_zs.perturbations.clean import CleanTop
from robustbench_zs.perturbations.noise import ConstantNoise, GaussianNoise, UniformNoise
from robustbench_zs.perturbations.numbers import parse_number

__all__ = [
    "FGSM",
    "PGD",
    "CleanTop",
    "ConstantNoise",
    "GaussianNoise",
    "Perturbation",
    "Square",
    "UniformNoise",
    "parse_number",
]
