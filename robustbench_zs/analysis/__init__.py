"""What can be concluded: summaries over seeds, degradation by verdict, which quantity of the scheme predicts it."""

from robustbench_zs.analysis.correlation import RankCorrelation, modulus_correlations, rank_correlation
from robustbench_zs.analysis.degradation import degradation_by_verdict
from robustbench_zs.analysis.effect_size import EffectSize, effect_size, effect_sizes
from robustbench_zs.analysis.network_outcomes import network_outcomes
from robustbench_zs.analysis.predictor_comparison import best_predictors, comparison_sentences, predictor_comparison
from robustbench_zs.analysis.summary import by_scheme

__all__ = [
    "EffectSize",
    "RankCorrelation",
    "best_predictors",
    "by_scheme",
    "comparison_sentences",
    "degradation_by_verdict",
    "effect_size",
    "effect_sizes",
    "modulus_correlations",
    "network_outcomes",
    "predictor_comparison",
    "rank_correlation",
]
