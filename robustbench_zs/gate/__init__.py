"""The regression gate: baselines, and the decision whether robustness got worse."""

from robustbench_zs.gate.baseline import Baseline, Entry, read_baseline, write_baseline_file
from robustbench_zs.gate.decision import Comparison, Rule, compare

__all__ = ["Baseline", "Comparison", "Entry", "Rule", "compare", "read_baseline", "write_baseline_file"]
