"""The words of a report in plain language, for those who know neither the paper nor the statistics."""

from __future__ import annotations

from robustbench_zs.analysis.reliability import MIN_RELIABILITY
from robustbench_zs.analysis.words import share
from robustbench_zs.reporting.page import Section
from robustbench_zs.reporting.plain import bullets

SCHEME = (
    "A **scheme** is the rule by which each block of a network combines the outputs of earlier blocks: "
    "y(n+1) = α₁ y(n) + α₂ y(n−1) + … + β f(y(n)), where f is what the block has learned. An ordinary residual network has "
    "α₁ = β = 1 and no other α. Networks of one study differ in their scheme; data and training are the same."
)
MODULUS = (
    "The **largest root modulus** of a scheme says how a small error develops from block to block if it is left alone: it "
    "fades below 1 and grows above 1. It is the size of the largest root of the polynomial whose coefficients are the α. A "
    "scheme is **zero-stable** if no error can grow without bound: no modulus is above 1, and a root of modulus 1 is not "
    "repeated."
)
NOISE_GAIN = (
    "The **noise gain** says how strongly a scheme amplifies noise that arises in every block, by the last block of the "
    "network."
)
PERTURBATIONS = (
    "**U[a, b]**, **σ** and **μ** are noise added to every pixel: uniform between a and b, Gaussian with standard deviation "
    "σ, and a constant μ. **FGSM** and **PGD** are attacks, which change every pixel by at most ε so that the network errs: "
    "FGSM in one step, PGD in several. The **share lost** is the share of the images classified correctly when clean that "
    "are misclassified when perturbed; less is more robust."
)
EPSILON = (
    "The **smallest ε** of an image is the smallest change, on a scale on which pixels range from 0 to 1, that makes a "
    "network misclassify it{}. The mean is over the images that the network classifies correctly when clean; the larger it "
    "is, the more robust the network."
)
RHO = (
    "**ρ** is Spearman's rank correlation: 1 or −1 if ordering the schemes by one quantity orders them by the other as "
    "well, 0 if the two orders have nothing in common. Up to .3 it is called weak, up to .5 moderate, above that strong. "
    "**Brackets** hold 95% intervals."
)
ESTABLISHED = (
    "A relation is **established** if it is unlikely to be chance, even though several were looked at (its **adjusted p** "
    "is at most .05), and its direction holds up in further checks. What is not established may still exist."
)
NOTHING = (
    "There is **nothing to predict** if two trainings of one scheme differ as much as two schemes do (a **reliability** "
    f"below {share(MIN_RELIABILITY, 1)})."
)


SEARCHED = ", as far as a minimum-norm attack{} found one up to {}; an image that withstands it counts with that value"
"""How the smallest ε was searched, in the middle of a sentence, with the norm and the largest ε."""


def of_study(several_seeds: bool, search: str = "") -> Section:
    """The words of a study's report; with one seed per scheme nothing is known of reliability.

    Args:
        search: how the smallest ε was searched, empty where it was not.
    """
    epsilon = [EPSILON.format(search)] if search else []
    return _section(SCHEME, MODULUS, PERTURBATIONS, *epsilon, RHO, ESTABLISHED, *([NOTHING] if several_seeds else []))


def of_atlas(search: str) -> Section:
    """The words of an atlas's report; `search` as for `of_study`."""
    epsilon = [EPSILON.format(search)] if search else []
    return _section(SCHEME, MODULUS, NOISE_GAIN, *epsilon, RHO, ESTABLISHED)


def _section(*words: str) -> Section:
    return Section("The words of this page", "No numerical analysis is needed to follow it.", [bullets(words)])
