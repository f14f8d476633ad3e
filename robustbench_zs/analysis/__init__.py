"""What can be concluded: summaries over seeds, degradation by verdict, correlation with the roots."""

from robustbench_zs.analysis.correlation import RankCorrelation, modulus_correlations, rank_correlation
from robustbench_zs.analysis.degradation import degradation_by_verdict
from robustbench_zs.analysis.summary import by_scheme

__all__ = ["RankCorrelation", "by_scheme", "degradation_by_verdict", "modulus_correlations", "rank_correlation"]
