"""Fed with the paper's own Table 6 the analysis gives what the paper says about it."""

from __future__ import annotations

import pandas as pd
import pytest

from robustbench_zs.analysis import by_scheme, degradation_by_verdict, rank_correlation

COLUMNS = (
    "clean",
    "uniform [-0.08, 0]",
    "uniform [0, 0.08]",
    "gaussian 0.01",
    "gaussian 0.02",
    "gaussian 0.04",
    "constant 0.3",
)
TABLE_6 = {
    (1.84, 0.74, 0.74): (False, (78.29, 67.01, 67.14, 77.17, 70.65, 50.76, 66.82)),
    (2.18, 1.00, 0.57): (False, (78.34, 66.16, 66.99, 76.88, 69.75, 48.72, 67.81)),
    (4.24, 1.00, 0.24): (False, (79.39, 67.06, 67.06, 77.41, 70.19, 51.23, 69.31)),
    (1.88, 1.00, 0.13): (False, (83.11, 69.38, 69.16, 81.25, 73.23, 50.2, 73.88)),
    (1.00, 0.87, 0.87): (True, (92.42, 83.89, 83.98, 91.21, 86.73, 64.69, 86.75)),
    (0.81, 0.61, 0.61): (True, (93.08, 86.91, 86.92, 92.00, 88.66, 74.19, 87.43)),
    (0.94, 0.33, 0.33): (True, (93.15, 88.05, 88.16, 92.24, 89.51, 76.74, 87.73)),
    (1.00, 0.52, 0.52): (True, (93.71, 87.10, 87.23, 92.47, 88.84, 73.96, 88.90)),
    (0.82, 0.82, 0.60): (True, (93.99, 87.76, 87.84, 92.75, 89.46, 74.97, 88.82)),
    (1.00, 0.33, 0.33): (True, (94.04, 88.31, 87.64, 92.96, 89.67, 74.49, 88.78)),
}


@pytest.fixture(scope="module")
def table_6() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "network": str(moduli),
            "scheme": str(moduli),
            "moduli": list(moduli),
            "zero_stable": zero_stable,
            "perturbation": perturbation,
            "accuracy": accuracy,
            "drop": accuracies[0] - accuracy,
        }
        for moduli, (zero_stable, accuracies) in TABLE_6.items()
        for perturbation, accuracy in zip(COLUMNS[1:], accuracies[1:], strict=True)
    )


def test_published_averages_under_uniform_noise(table_6: pd.DataFrame) -> None:
    row = degradation_by_verdict(table_6).set_index("perturbation").loc["uniform [-0.08, 0]"]
    assert f"{row['non_zero_stable']:.2f}" == "12.38"  # section 5.3
    assert row["zero_stable"] == pytest.approx(6.40, abs=0.005)
    assert (row["non_zero_stable_networks"], row["zero_stable_networks"]) == (4, 6)


def test_rank_correlation_of_the_largest_modulus_with_the_drop(table_6: pd.DataFrame) -> None:
    rows = table_6[table_6["perturbation"] == "gaussian 0.02"]
    found = rank_correlation([max(m) for m in rows["moduli"]], rows["drop"].tolist(), rows["network"].tolist())
    assert found.rho == pytest.approx(0.83, abs=0.005)
    assert found.low is not None
    assert found.low > 0
    assert found.finding == "positive relation"
    assert found.schemes == 10


def test_one_seed_has_no_standard_deviation(table_6: pd.DataFrame) -> None:
    summary = by_scheme(table_6, "accuracy")
    assert summary["std"].isna().all()
    assert list(summary["perturbation"].unique()) == list(COLUMNS[1:])
