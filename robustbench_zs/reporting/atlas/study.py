"""An atlas and what is found in it, each thing computed once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from robustbench_zs.analysis.bends import Bend, bends
from robustbench_zs.analysis.confirmation import Confirmation, confirm
from robustbench_zs.analysis.halves import AtlasHalf, atlas_halves, headline
from robustbench_zs.analysis.predictions import judge, predictions_of
from robustbench_zs.analysis.predictors import PREDICTORS
from robustbench_zs.analysis.scheme_means import scheme_points
from robustbench_zs.reporting.atlas import tables
from robustbench_zs.reporting.findings import Findings


class AtlasStudy:
    """The findings of a study as those of an atlas."""

    def __init__(self, study: Findings) -> None:
        self.study = study

    @cached_property
    def halves(self) -> list[AtlasHalf]:
        lost = {(h.network.name, h.seed) for h in self.study.facts.headers if h.diverged_at is not None}
        return atlas_halves(self.study.results, self.study.gaps, self.study.images, lost)

    @cached_property
    def outcome(self) -> str:
        return headline(self.halves[-1])

    @cached_property
    def confirmation(self) -> Confirmation | None:
        """None where the confirmation half is not there."""
        tested = [half for half in self.halves if half.name == "confirmation"]
        return confirm(tested[0], self.outcome) if tested else None

    @cached_property
    def bends(self) -> dict[str, Bend]:
        """Of the candidates, see `analysis.bends`."""
        return bends(self.halves, self.outcome)

    @cached_property
    def judged(self) -> pd.DataFrame:
        """Predictions beside findings; empty where none were written down for this study."""
        return judge(predictions_of(self.study.facts.name) if self.confirmation else (), self.confirmation)

    @cached_property
    def beside(self) -> pd.DataFrame:
        return tables.halves_frame(self.halves, self.outcome)

    @cached_property
    def schemes(self) -> pd.DataFrame:
        return tables.schemes_frame(self.halves)

    @cached_property
    def reliability(self) -> pd.DataFrame:
        return tables.reliability_frame(self.halves)

    @cached_property
    def models(self) -> pd.DataFrame:
        return tables.models_frame(self.halves, self.outcome)

    @cached_property
    def points(self) -> pd.DataFrame:
        return scheme_points(pd.concat([half.outcomes for half in self.halves]), self.outcome)

    @cached_property
    def design(self) -> pd.DataFrame:
        values = np.concatenate([half.means.predictors for half in self.halves])
        return pd.DataFrame(values, columns=list(PREDICTORS)).corr("spearman")
