"""Sections of a study's report about its networks, each a function of its findings."""

from __future__ import annotations

import pandas as pd

from robustbench_zs.reporting import alternatives, tables
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.page import Picture, Section, Table
from robustbench_zs.reporting.plain import bullets, count, in_a_row
from robustbench_zs.reporting.siblings import shared_networks
from robustbench_zs.schemes import TrainableScheme
from robustbench_zs.schemes.coefficients import LARGEST
from robustbench_zs.training.header import Header, network_spec

Blocks = list[str | Picture | Table]


def compared(study: Findings) -> Section:
    """Which networks were trained and tested on what."""
    facts, headers = study.facts, study.facts.headers
    schemes = len({network_spec(h.network).scheme for h in headers})
    depths = sorted({h.network.depth for h in headers})
    some = in_a_row([str(depth) for depth in depths])
    layers = some if len(depths) < 4 else f"{len(depths)} depths of {depths[0]} to {depths[-1]}"
    data, stable = headers[0].dataset, sum(s.zero_stable for s in study.schemes.values())
    others = [study.networks[name] for name in dict.fromkeys(h.network.name for h in headers if not _fixed(h))]
    rootless = (
        f" Conclusions leave out {in_a_row(others)}, which have no single set of roots: coefficients are trained, or a "
        "nonlinearity follows the sum."
        if others
        else ""
    )
    blocks: Blocks = [facts.note] if facts.note else []
    if facts.scaled:
        blocks.append(f"**Scaled down, {facts.scaled}.** Its numbers are not those of the full study.")
    return Section(
        "What was compared",
        f"The study `{facts.name}` trained {len(headers)} networks: {count(schemes, 'scheme')}, {layers} layers, "
        f"{count(study.seeds, 'seed')}. {stable} of the {count(len(study.schemes), 'scheme')} with known roots "
        f"{'is' if stable == 1 else 'are'} zero-stable.{rootless} All were trained on {data.train_examples:,} images of "
        f"`{data.name}` with the same recipe and tested on the same {int(study.results['examples'].iloc[0]):,}.",
        [*blocks, *shared_networks(study.folder, study.digests)],
    )


def _fixed(header: Header) -> bool:
    return network_spec(header.network).fixed_scheme is not None


def trainable(study: Findings) -> Section | None:
    """Where trainable coefficients ended."""
    lines = [line for header in study.facts.headers if (line := _trained_coefficients(header))]
    if not lines:
        return None
    return Section(
        "Trainable coefficients",
        "Each block after the first ones has a parameter of its own, so these networks as a whole have no roots and no "
        "verdict.",
        [bullets(lines), "The history in the checkpoints has the parameters after every epoch."],
    )


def diverged(study: Findings) -> Section | None:
    """Trainings that failed."""
    lines = [
        f"`{h.network.name}`, seed {h.seed}: the loss was not finite in epoch {h.diverged_at}."
        for h in study.facts.headers
        if h.diverged_at is not None
    ]
    if not lines:
        return None
    return Section(
        "Diverged trainings", "These networks were evaluated as they were when training stopped.", [bullets(lines)]
    )


def examples(study: Findings) -> Section | None:
    """A few images as two networks see them."""
    shown = examples_of(study)
    if shown is None:
        return None
    shown_names = [_with_verdict(study, str(name)) for name in dict.fromkeys(study.named(shown)["network"])]
    picture = Picture(
        "examples.png",
        (study.folder / "examples.png").read_bytes(),
        "Below each image is the class that the network predicts; a wrong one is bold and orange.",
        alternatives.examples_text(study.named(shown)),
    )
    return Section(
        "What the networks see",
        f"These are the first test images that {in_a_row(shown_names)} both classify correctly when clean, shown clean and "
        "perturbed.",
        [picture],
    )


def _with_verdict(study: Findings, name: str) -> str:
    if name not in study.schemes:
        return name
    return f"{name} ({'zero-stable' if study.schemes[name].zero_stable else 'not zero-stable'})"


def examples_of(study: Findings) -> pd.DataFrame | None:
    """What the picture of example images in the folder shows, if it is there and of these networks."""
    table = study.folder / "examples.csv"
    if not (table.is_file() and (study.folder / "examples.png").is_file()):
        return None
    try:
        shown = pd.read_csv(table, dtype={"predicted": "Int64"})
        return shown if set(shown["digest"]) <= study.digests else None
    except (ValueError, KeyError):
        return None


def every_network(study: Findings) -> Section:
    """Accuracies of single networks, and full names."""
    shortened = {short: f"`{name}`" for name, short in study.networks.items() if short != name}
    names = pd.DataFrame({"Name here": shortened.keys(), "Network": shortened.values()})
    return Section(
        "Every network",
        "The first table gives the accuracy of every trained network in percent, with its 95% Wilson interval.",
        [
            Table("every_network", tables.every_network(study.named(study.results), study.flagged)),
            *([Table("names", names, "Full names, which every command of `zsbench` accepts.")] if shortened else []),
        ],
    )


def _trained_coefficients(header: Header) -> str | None:
    """Where the trainable parameters of a network ended; None without any."""
    scheme = network_spec(header.network).scheme
    parameters = header.history[-1].block_parameters
    if not isinstance(scheme, TrainableScheme) or not parameters:
        return None
    known = [p for p in parameters if p is not None]
    stable = sum(scheme.at(p).zero_stable for p in known if abs(p) <= LARGEST)
    letter = "λ" if scheme.name == "zerosnet-tra" else "k"
    reach = f"from {min(known):.3f} to {max(known):.3f}" if known else "not finite"
    return (
        f"`{header.network.name}`, seed {header.seed}: {stable} of {len(parameters)} blocks end inside the zero-stable "
        f"region; {letter} {reach}."
    )
