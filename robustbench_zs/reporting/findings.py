"""Everything that the report of a study rests on; its sections are functions of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from robustbench_zs.analysis import Conclusions, ImageOutcomes, conclude, network_outcomes
from robustbench_zs.analysis.degradation import losses_by_verdict
from robustbench_zs.analysis.labels import network_labels, outcome_labels, perturbation_labels
from robustbench_zs.analysis.masking import flagged_networks
from robustbench_zs.perturbations.numbers import format_number
from robustbench_zs.reporting.glossary import SEARCHED
from robustbench_zs.reporting.plain import NORMS, in_a_row
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.training.header import Header, network_spec


@dataclass(frozen=True)
class StudyFacts:
    """What a report says about a study besides its results.

    One header per network; `again` is what `zsbench run` takes, `requests` what `zsbench` takes for each perturbation.
    `atlas` is whether its schemes are those of the atlas.
    """

    name: str
    title: str
    recipe: dict[str, Any]
    headers: Sequence[Header]
    engine: str
    again: str
    note: str = ""
    scaled: str = ""
    paper: str | None = None
    paper_networks: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    requests: Mapping[str, str | None] = field(default_factory=dict)
    atlas: bool = False


@dataclass(frozen=True, eq=False)
class Control:
    """The results of another study on networks of this one that it trained with another recipe.

    Args:
        name: of the other study.
        changes: what differs in its recipe, as setting → value; empty for the study itself.
        results, gaps: see `Findings`.
    """

    name: str
    changes: Mapping[str, Any]
    results: pd.DataFrame
    gaps: pd.DataFrame

    @property
    def recipe(self) -> str:
        """`"learning rate 0.1"`, `"that of the study"`."""
        changed = [f"{setting.replace('_', ' ')} {value}" for setting, value in self.changes.items()]
        return in_a_row(changed) if changed else "that of the study"


@dataclass(frozen=True, eq=False)
class Findings:
    """A study and its results; what is concluded from them is computed once, when it is first asked for.

    Args:
        folder: of the report.
        results: one row per network and perturbation, clean included, see `evaluation.result_row`.
        gaps: one row per network, see `evaluation.gap_row`.
        masking: one row per probed network and check, see `analysis.masking.masking_rows`.
        transfers: one row per network that was attacked and network that saw the examples, see `evaluation.transfer_rows`.
        curves: one row per network with its robust accuracy against ε, see `evaluation.curve_row`.
        images: the same networks image by image, on which conclusions rest.
        controls: what other studies found out about some of the networks by other recipes.
    """

    folder: Path
    facts: StudyFacts
    results: pd.DataFrame
    gaps: pd.DataFrame
    masking: pd.DataFrame
    transfers: pd.DataFrame = field(default_factory=pd.DataFrame)
    curves: pd.DataFrame = field(default_factory=pd.DataFrame)
    images: ImageOutcomes | None = None
    controls: Sequence[Control] = ()

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """One row per network, seed and outcome, see `network_outcomes`."""
        return network_outcomes(self.results, self.gaps, self.images)

    @cached_property
    def conclusions(self) -> Conclusions:
        """What the outcomes allow to conclude."""
        return conclude(self.outcomes)

    @cached_property
    def losses(self) -> pd.DataFrame:
        """What perturbations cost the networks of both verdicts, see `losses_by_verdict`."""
        return losses_by_verdict(self.outcomes)

    @cached_property
    def networks(self) -> dict[str, str]:
        """Short name of each network."""
        return network_labels(dict.fromkeys(self.results["network"]))

    @cached_property
    def perturbations(self) -> dict[str, str]:
        """Short name of each perturbation."""
        return perturbation_labels(dict.fromkeys(self.results["perturbation"]))

    @cached_property
    def seeds(self) -> int:
        """How many seeds networks were trained with."""
        return int(self.results["seed"].nunique())

    @cached_property
    def digests(self) -> set[str]:
        """Of the weights of all networks."""
        return set(self.results["digest"])

    @cached_property
    def search(self) -> str:
        """How the smallest ε was searched, in the middle of a sentence; empty where it was not."""
        if self.images is None or self.images.largest_eps is None:
            return ""
        norm = f" (in {NORMS[self.curves['norm'].iloc[0]]})" if len(self.curves) else ""
        return SEARCHED.format(norm, format_number(self.images.largest_eps))

    @cached_property
    def attacks(self) -> set[str]:
        """Labels of the perturbations that attack the network."""
        return set(self.results.loc[self.results["engine"].notna(), "perturbation"])

    @cached_property
    def flagged(self) -> dict[str, list[str]]:
        """Short name of each network that a check for gradient masking flagged, with the checks."""
        return {self.networks[name]: checks for name, checks in flagged_networks(self.masking).items()}

    @cached_property
    def schemes(self) -> dict[str, MultistepScheme]:
        """The fixed schemes of the networks, each by the short name of its first network."""
        found: dict[MultistepScheme, str] = {}
        for header in self.facts.headers:
            scheme = network_spec(header.network).fixed_scheme
            if scheme is not None:
                found.setdefault(scheme, self.networks[header.network.name])
        return {name: scheme for scheme, name in found.items()}

    def named(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with short names of networks, schemes and perturbations."""
        columns = {
            "network": ("network", self.networks),
            "source_network": ("source_network", self.networks),
            "scheme": ("network", self.networks),
            "source_scheme": ("source_network", self.networks),
            "perturbation": ("perturbation", self.perturbations),
        }
        return frame.assign(**{c: frame[of].map(short) for c, (of, short) in columns.items() if c in frame})

    @cached_property
    def outcomes_shown(self) -> pd.DataFrame:
        """The outcomes with short names of perturbations."""
        return self.outcomes.assign(outcome=self.outcomes["outcome"].map(self._short))

    @cached_property
    def shown(self) -> Conclusions:
        """The conclusions with short names of perturbations."""
        frames = {name: getattr(self.conclusions, name) for name in ("modulus", "predictors", "best", "effects")}
        return replace(self.conclusions, **{n: f.assign(outcome=f["outcome"].map(self._short)) for n, f in frames.items()})

    @cached_property
    def _short(self) -> dict[str, str]:
        return outcome_labels(dict.fromkeys(self.outcomes["outcome"]))
