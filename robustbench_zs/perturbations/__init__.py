"""Noise and attacks: an image batch in, an image batch out."""

from robustbench_zs.perturbations.apgd import APGD, FAB, TargetedAPGD
from robustbench_zs.perturbations.attacks import Attack, GradientAttack
from robustbench_zs.perturbations.auto_attack import AutoAttack
from robustbench_zs.perturbations.base import Perturbation
from robustbench_zs.perturbations.black_box import Square
from robustbench_zs.perturbations.clean import CleanTop
from robustbench_zs.perturbations.fgsm import FGSM
from robustbench_zs.perturbations.noise import ConstantNoise, GaussianNoise, UniformNoise
from robustbench_zs.perturbations.numbers import parse_number
from robustbench_zs.perturbations.pgd import PGD

__all__ = [
    "APGD",
    "FAB",
    "FGSM",
    "PGD",
    "Attack",
    "AutoAttack",
    "CleanTop",
    "ConstantNoise",
    "GaussianNoise",
    "GradientAttack",
    "Perturbation",
    "Square",
    "TargetedAPGD",
    "UniformNoise",
    "parse_number",
]
