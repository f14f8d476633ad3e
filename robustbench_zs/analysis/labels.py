"""Short names of networks, perturbations and outcomes, for tables, figures and sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

LONGEST = 24
"""Characters of a network's name; what is longer is called `custom-1`, `custom-2`, …"""

_KINDS = {
    "gaussian": "σ",
    "constant": "μ",
    "fgsm": "FGSM",
    "pgd": "PGD",
    "apgd": "APGD",
    "apgd-t": "APGD-T",
    "fab": "FAB",
    "autoattack": "AutoAttack",
    "square": "Square",
    "clean": "top",
}
_OF_THE_NETWORK = {"depth", "block", "widths", "form", "projection"}
_NAMED_BY_DEPTH = re.compile(r"(?:(?:pre|lm-)?resnet|zerosnet)(\d+)(?:-opt|-tra)?(?::.*)?")


def perturbation_labels(labels: Iterable[str]) -> dict[str, str]:
    """Each label with its short form, kind and level alone; the label itself where that would name two of them.

    Examples:
        >>> from robustbench_zs.analysis.labels import perturbation_labels
        >>> perturbation_labels(["clean", "gaussian(delta=0.02)", "pgd(eps=8/255, steps=10)"])
        {'clean': 'clean', 'gaussian(delta=0.02)': 'σ 0.02', 'pgd(eps=8/255, steps=10)': 'PGD 8/255'}
    """
    short = {label: _short(label) for label in labels}
    counts = Counter(short.values())
    return {label: text if counts[text] == 1 else label for label, text in short.items()}


def _short(label: str) -> str:
    match = re.fullmatch(r"([\w-]+)\((.+)\)", label)
    if not match:
        return label
    kind, parts = match[1], dict(part.split("=", 1) for part in match[2].split(", ") if "=" in part)
    if kind == "uniform" and {"low", "high"} <= parts.keys():
        return f"U[{parts['low']}, {parts['high']}]".replace("-", "−")
    level = next(iter(parts.values()), "").replace("-", "−")
    norm = f" {parts['norm'].upper()}" if "norm" in parts else ""
    return f"{_KINDS.get(kind, kind.replace('_', ' '))}{norm} {level}".strip()


def outcome_labels(outcomes: Iterable[str]) -> dict[str, str]:
    """Each outcome of `network_outcomes` with its kind and the short form of its perturbation."""
    parts = {outcome: outcome.partition(", ") for outcome in outcomes}
    short = perturbation_labels(dict.fromkeys(label for _, comma, label in parts.values() if comma))
    return {outcome: f"{kind}, {short[label]}" if comma else kind for outcome, (kind, comma, label) in parts.items()}


def network_labels(names: Iterable[str]) -> dict[str, str]:
    """Each name of a network or scheme without what all of them share; schemes known by coefficients alone are numbered.

    Examples:
        >>> from robustbench_zs.analysis.labels import network_labels
        >>> network_labels(["table10-1:depth=56", "multistep:alphas=-1/10000 10001/10000,beta=1,depth=56"])
        {'table10-1:depth=56': 'table10-1', 'multistep:alphas=-1/10000 10001/10000,beta=1,depth=56': 'custom-1'}
        >>> network_labels(["table10-1:depth=20", "preresnet20"])
        {'table10-1:depth=20': 'table10-1', 'preresnet20': 'preresnet20'}
    """
    parts = {name: _split(name) for name in names}
    shared = set.intersection(*(_stated(scheme, options) for scheme, options in parts.values())) if parts else set()
    custom: dict[str, str] = {}
    labels = {}
    for name, (scheme, options) in parts.items():
        base = scheme if len(scheme) <= LONGEST else custom.setdefault(scheme, f"custom-{len(custom) + 1}")
        labels[name] = ":".join(filter(None, [base, ",".join(o for o in options if o not in shared)]))
    return labels


def _stated(scheme: str, options: list[str]) -> set[str]:
    """The options of a network, with its depth where only its first part states it, as in `preresnet20`."""
    named = _NAMED_BY_DEPTH.fullmatch(scheme)
    return {*options, *([f"depth={named[1]}"] if named else [])}


def _split(name: str) -> tuple[str, list[str]]:
    """The scheme with its coefficients, and the options that are the network's."""
    base, _, tail = name.partition(":")
    options = tail.split(",") if tail else []
    of_network = [o for o in options if o.partition("=")[0] in _OF_THE_NETWORK]
    of_scheme = ",".join(o for o in options if o not in of_network)
    return (f"{base}:{of_scheme}" if of_scheme else base), of_network
