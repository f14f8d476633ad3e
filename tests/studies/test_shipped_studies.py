"""The studies of the paper: all of them can be read, and their smallest form runs from end to end."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from robustbench_zs.errors import RequestError
from robustbench_zs.studies import load_study, make_plan, run_study

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data"
PAPER = ["table1", "table2", "table3", "table6", "table7", "figure4", "fgsm-mnist", "pgd-cifar10"]
CLASSES = {"cifar10": 10, "cifar100": 100, "mnist": 10}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of noise in the shape of each dataset."""
    folder = tmp_path_factory.mktemp("images")
    draw = np.random.default_rng(0)
    for name, classes in CLASSES.items():
        for split, images in (("train", 200), ("test", 50)):
            encoded = []
            for _ in range(images):
                shape = (28, 28) if name == "mnist" else (32, 32, 3)
                buffer = io.BytesIO()
                Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8)).save(buffer, "PNG")
                encoded.append({"bytes": buffer.getvalue(), "path": None})
            labels = [i % classes for i in range(images)]
            (folder / name).mkdir(exist_ok=True)
            pyarrow.parquet.write_table(pyarrow.table({"img": encoded, "label": labels}), folder / name / f"{split}.parquet")
    return folder


# Networks, seeds and epochs as §5 of the paper gives them.
FULL = {"table1": (5, 3, 160), "table2": (4, 3, 160), "table3": (30, 3, 160), "table6": (10, 3, 160)}
FULL |= {"table7": (15, 3, 500), "figure4": (10, 3, 300), "fgsm-mnist": (10, 3, 20), "pgd-cifar10": (10, 3, 160)}


@pytest.mark.parametrize("name", PAPER)
def test_a_study_is_that_of_the_paper_and_its_small_forms_differ_only_where_they_may(name: str) -> None:
    full = load_study(name)
    assert (len(full.specs()), len(full.seeds), full.full_recipe().epochs) == FULL[name]
    for scale in ("smoke", "small"):
        scaled = load_study(name, scale)
        assert scaled.name == f"{name}-{scale}"
        assert scaled.request == f"{name} --scale {scale}"
        assert f"`{scale}`: epochs {scaled.full_recipe().epochs} instead of {full.full_recipe().epochs}" in scaled.scaled
        assert scaled.full_recipe().with_changes(epochs=full.full_recipe().epochs) == full.full_recipe()
        assert scaled.all_perturbations() == full.all_perturbations()
        assert set(scaled.schemes) <= set(full.schemes)
        for network, (scheme, depth) in scaled.paper_networks().items():
            assert network in {spec.name for spec in scaled.specs()}
            assert (scheme, depth) in full.paper_networks().values()
        assert scale == "smoke" or scaled.schemes == full.schemes
        assert len(make_plan(scaled).evaluations) <= len(make_plan(full).evaluations)


@pytest.mark.parametrize("name", PAPER)
def test_the_smallest_form_runs(name: str, generated: Path, working_folder: Path) -> None:
    dataset = load_study(name).dataset.name
    data = REAL if (REAL / dataset).is_dir() else generated
    result = run_study(name, scale="smoke", data_dir=data, device="cpu", threads=1)
    assert result.trained == 2
    text = (working_folder / "reports" / f"{name}-smoke" / "report.md").read_text()
    assert "Scaled down, `smoke`: epochs 1 instead of" in text
    assert f"`zsbench run {name} --scale smoke`" in text
    assert ("not at hand" in text) == (name in ("fgsm-mnist", "pgd-cifar10"))
    assert "nan" not in text.lower()
    if name in ("fgsm-mnist", "pgd-cifar10"):
        assert "Beside the paper's numbers" not in text
        return
    assert "**Run at `smoke` scale" in text
    beside = pd.read_csv(working_folder / "reports" / f"{name}-smoke" / "against_paper.csv")
    outcomes = {"table6": 7, "table7": 3}.get(name, 1)
    assert len(beside) == 2 * outcomes
    assert beside["paper_mean"].notna().all() == (name != "figure4")


def test_a_scale_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="'digits' has no scale 'small'"):
        load_study("digits", "small")
    path = tmp_path / "a.toml"
    path.write_text('name = "a"\nschemes = ["euler"]\nscaled = "x"\n[dataset]\nname = "digits"\n')
    with pytest.raises(RequestError, match="scaled"):
        load_study(path)
    path.write_text('name = "a"\nschemes = ["euler"]\n[dataset]\nname = "digits"\n[scale.smoke]\nepoch = 1\n')
    with pytest.raises(RequestError, match=r"scale\.smoke\.epoch.*epochs"):
        load_study(path)
