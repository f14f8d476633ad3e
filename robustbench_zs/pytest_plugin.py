"""The gate as a pytest plugin. It is active once the package is installed, and costs nothing until the fixture is used.

    def test_robustness(zsbench_check):
        zsbench_check(my_model(), "digits", "baselines/my_model.json")

`pytest --zsbench-update` writes the baselines instead of comparing with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from torch import nn

    from robustbench_zs.studies.check import CheckResult


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("zsbench")
    group.addoption("--zsbench-update", action="store_true", help="Write baselines instead of comparing.")


@pytest.fixture(scope="session")
def zsbench_check(request: pytest.FixtureRequest) -> Callable[..., CheckResult | None]:
    """A function that fails the test if a module got worse than its baseline says.

    `zsbench_check(module, study, baseline, rule=None, **options)`: any `torch.nn.Module` on images in [0, 1]; the study's
    test images and perturbations; the baseline's file, in the working folder or beside the test; options as for
    `robustbench_zs.check` (`data_dir`, `device`, …). The question is whether these weights got worse; with
    `about="recipe"` a module that was trained again has no verdict, which is a warning, or with `strict=True` a failure. It
    returns the `CheckResult`, None where the baseline was written.
    """

    def check_module(module: nn.Module, study: str | Path, baseline: str | Path, **options: Any) -> CheckResult | None:
        __tracebackhide__ = True
        baseline = _beside_the_test(Path(baseline), request.config)
        from robustbench_zs.errors import ZsbenchError
        from robustbench_zs.gate import rendering
        from robustbench_zs.reporting import cells
        from robustbench_zs.studies.check import check, make_baseline

        try:
            if request.config.getoption("--zsbench-update"):
                for name in ("rule", "about", "strict"):
                    options.pop(name, None)
                make_baseline(study, baseline, models=[module], **options)
                return None
            found = check(study, baseline, models=[module], **options)
        except ZsbenchError as error:
            pytest.fail(str(error), pytrace=False)
        if not found.passed:
            shown = cells.markdown(rendering.check_table(found.comparisons))
            said = rendering.what_was_compared(found.comparisons, found.rule)
            pytest.fail("\n".join([f"{type(module).__name__} got worse", "", shown, "", *said]), pytrace=False)
        return found

    return check_module


def _beside_the_test(baseline: Path, config: pytest.Config) -> Path:
    """Where a baseline is, or is to be: in the working folder, unless only the test's own folder has it, or its folder."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").split("::")[0]
    beside = config.rootpath / Path(test).parent / baseline
    found = next((path for path in (baseline, beside) if path.exists()), None)
    return found or next((path for path in (baseline, beside) if path.parent.is_dir()), baseline)
