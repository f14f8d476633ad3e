"""Statistical analysis: summaries over seeds, degradation by verdict, and which quantity of the scheme predicts it."""

from robustbench_zs.analysis.conclusions import Conclusions, conclude
from robustbench_zs.analysis.correlation import RankCorrelation, rank_correlation
from robustbench_zs.analysis.degradation import degradation_by_verdict
from robustbench_zs.analysis.effect_size import EffectSize, effect_size
from robustbench_zs.analysis.images import ImageOutcomes, NetworkImages
from robustbench_zs.analysis.network_outcomes import network_outcomes
from robustbench_zs.analysis.summary import by_scheme

__all__ = [
    "Conclusions",
    "EffectSize",
    "ImageOutcomes",
    "NetworkImages",
    "RankCorrelation",
    "by_scheme",
    "conclude",
    "degradation_by_verdict",
    "effect_size",
    "network_outcomes",
    "rank_correlation",
]
