"""The examples in the docstrings of public names run and print what they say."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
import torch

import robustbench_zs as zs

OTHERWISE_TESTED = {
    "pack": "a study that has been run, see tests/studies",
    "unpack": "a study that has been run, see tests/studies",
    "corruptions": "images of CIFAR-10, see tests/evaluation",
    "mean_corruption_error": "images of CIFAR-10, see tests/evaluation",
    "degradation_by_verdict": "results of a study, see tests/analysis",
    "conclude": "results of a study, see tests/analysis",
    "network_outcomes": "results of a study, see tests/analysis",
    "rank_correlation": "results of a study, see tests/analysis",
}
"""Public names without an example, and what it would need."""

EXCEPTIONS = {"RequestError", "UnfinishedError", "ZsbenchError"}


@pytest.mark.parametrize("name", [name for name in zs.__all__ if name not in OTHERWISE_TESTED.keys() | EXCEPTIONS])
def test_the_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = getattr(zs, name)
    names = {"zs": zs, "torch": torch, name: named}
    example = doctest.DocTestParser().get_doctest(named.__doc__ or "", names, name, None, None)
    assert example.examples, f"the docstring of {name} has no example"
    report: list[str] = []
    torch.manual_seed(0)
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=report.append)
    assert not report, "\n".join(report)
