"""The regression gate: baselines, and the test whether robustness got worse."""

from robustbench_zs.gate.baseline import Baseline, Entry, read_baseline, write_baseline_file
from robustbench_zs.gate.decision import Comparison, Rule, compare
from robustbench_zs.gate.pairs import compare_networks

__all__ = [
    "Baseline",
    "Comparison",
    "Entry",
    "Rule",
    "compare",
    "compare_networks",
    "read_baseline",
    "write_baseline_file",
]
