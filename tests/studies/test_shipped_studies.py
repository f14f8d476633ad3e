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
from robustbench_zs.studies.load import load_study
from robustbench_zs.studies.plan import make_plan
from robustbench_zs.studies.run import report, run_study

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data"
CLASSES = {"cifar10": 10, "cifar100": 100, "mnist": 10}

# Networks, seeds and epochs of each study that trains, by its parts: as §5 of the paper gives them, but for the zoo's.
FULL = {
    "table1": [(5, 3, 160)],
    "table2": [(4, 3, 160)],
    "table3": [(30, 3, 160)],
    "table4": [(16, 3, 160), (4, 3, 160), (20, 3, 300)],
    "table5": [(2, 1, 150)] * 3,
    "table6": [(10, 3, 160)],
    "table7": [(15, 3, 500)],
    "figure4": [(10, 3, 300)],
    "fgsm-mnist": [(10, 3, 20)],
    "pgd-cifar10": [(10, 3, 160)],
    "zoo-cifar10": [(14, 3, 18)],
    "zoo-cifar10-attacks": [(14, 1, 18)],
    "zoo-cifar10-autoattack": [(14, 1, 18)],
    "zoo-cifar10-rates": [(4, 1, 18), (4, 1, 18)],
    "zoo-cifar10-56": [(10, 3, 160)],
    "zoo-cifar10-56-autoattack": [(10, 1, 160)],
}
MEASURED = ["table8", "table9", "table10"]


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


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders laid out as ImageNet's, with images of noise in several sizes."""
    folder = tmp_path_factory.mktemp("imagenet")
    draw = np.random.default_rng(0)
    for split, images in (("train", 6), ("val", 3)):
        for name in [f"n0144000{i}" for i in range(6)]:
            (folder / "imagenet" / split / name).mkdir(parents=True)
            for number in range(images):
                pixels = draw.integers(0, 256, (40 + number, 60, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "imagenet" / split / name / f"{number}.JPEG")
    return folder


@pytest.mark.parametrize("name", FULL)
def test_a_study_is_that_of_the_paper_and_its_small_forms_differ_only_where_they_may(name: str) -> None:
    whole = load_study(name).trainings()
    assert [(len(part.specs()), len(part.seeds), part.full_recipe().epochs) for part in whole] == FULL[name]
    for scale in ("smoke", "small"):
        collected = load_study(name, scale)
        assert collected.name == f"{name}-{scale}"
        assert collected.request == f"{name} --scale {scale}"
        for full, scaled in zip(whole, collected.trainings(), strict=True):
            assert scaled.name == f"{full.name}-{scale}"
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


@pytest.mark.parametrize(
    "name", [name for name in FULL if name != "table5" and not name.endswith(("-attacks", "-autoattack", "-rates"))]
)
def test_the_smallest_form_runs(name: str, generated: Path, working_folder: Path) -> None:
    loaded = load_study(name, "smoke")
    data = REAL if all((REAL / part.trained_on().name).is_dir() for part in loaded.trainings()) else generated
    result = run_study(loaded, data_dir=data, device="cpu", threads=1)
    assert result.trained == 2 * len(loaded.trainings())
    for part in loaded.trainings():
        text = (working_folder / "reports" / part.name / "report.md").read_text()
        assert "Scaled down, `smoke`: epochs 1 instead of" in text
        assert f"`zsbench run {name} --scale smoke`" in text
        assert ("not at hand" in text) == (name in ("fgsm-mnist", "pgd-cifar10"))
        assert "nan" not in text.lower()
    text = (working_folder / "reports" / f"{name}-smoke" / "report.md").read_text()
    if name in ("fgsm-mnist", "pgd-cifar10"):
        assert "Beside the paper's numbers" not in text
        return
    assert "**Scaled down: each network stands for" in text
    beside = pd.read_csv(working_folder / "reports" / f"{name}-smoke" / "against_paper.csv")
    outcomes = {"table6": 7, "table7": 3, "zoo-cifar10": 7, "zoo-cifar10-56": 7}.get(name, 1)
    assert len(beside) == 2 * len(loaded.trainings()) * outcomes
    assert beside["paper_mean"].notna().all() == (name != "figure4")
    if name == "table4":
        assert set(zip(beside["dataset"], beside["network"], strict=True)) >= {
            ("cifar10", "resnet8"),
            ("cifar100", "zerosnet8-tra"),
        }
        assert "[table4-cifar10-110-smoke](../table4-cifar10-110-smoke/report.md)" in text


def test_imagenet_at_its_smallest_runs(imagenet: Path, working_folder: Path) -> None:
    """Real loaders, transforms, recipe (eight shares of a step, bfloat16) and top-5 accuracy; the images are noise."""
    result = run_study("table5", scale="smoke", data_dir=imagenet, device="cpu", threads=1)
    assert result.trained == 6
    assert list(result.results["perturbation"][:2]) == ["clean", "clean(top=5)"]
    first, top5 = result.results["accuracy"][:2]
    assert first <= top5
    assert pd.isna(result.results["drop"][1])
    beside = pd.read_csv(working_folder / "reports" / "table5-smoke" / "against_paper.csv")
    assert len(beside) == 12
    assert set(beside["verdict"]) == {"the paper gives no spread"}
    text = (working_folder / "reports" / "table5-18-smoke" / "report.md").read_text()
    assert "image size 32 instead of the dataset's" in text
    assert "replicas 8" in text


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("scale", ["smoke", "small", None])
def test_what_is_measured_without_training(name: str, scale: str | None, working_folder: Path) -> None:
    if name == "table9" and scale != "smoke":
        pytest.skip("takes minutes")
    full, loaded = load_study(name), load_study(name, scale)
    result = run_study(loaded, device="cpu", threads=1)
    folder = working_folder / "reports" / loaded.name
    text = (folder / "report.md").read_text()
    assert ("Scaled down" in text) == (scale is not None)
    assert f"`zsbench run {loaded.request}`" in text
    beside = pd.read_csv(folder / "against_paper.csv")
    assert beside["paper_mean"].notna().all()
    if name == "table10":
        assert set(beside["verdict"]) == {"equal as printed"}
        assert len(beside) == 4 * len(result.results)
        assert scale == "smoke" or len(result.results) == 10
    if name == "table8":
        differing = beside[beside["verdict"].str.startswith("differs")]
        assert list(differing["network"]) == ([] if scale else ["lm-resnet110"])
    if name == "table9":
        assert len(beside) == 12
        assert set(beside["verdict"]) == {"the paper gives no spread"}
        before = (folder / "passes.csv").read_bytes()
        run_study(loaded)
        again = report(name, scale=scale)
        assert (folder / "passes.csv").read_bytes() == before
        pd.testing.assert_frame_equal(again.results, result.results)
        assert (result.results["ratio_low"] <= result.results["ratio_high"]).all()
    assert full.measured


def test_run_times_that_were_never_measured(working_folder: Path) -> None:
    with pytest.raises(RequestError, match="run `zsbench run table9 --scale smoke` first"):
        report("table9", scale="smoke")
    folder = working_folder / "reports" / "table9-smoke"
    folder.mkdir(parents=True)
    (folder / "passes.csv").write_text("no,table\n1,2\n")
    with pytest.raises(RequestError, match="are not in"):
        report("table9", scale="smoke")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ("parts = 3\n", r"each of the \[\[parts\]\] must be a table with a name"),
        ("parts = []\n", "1 to 100 parts"),
        ('[[parts]]\nname = "x"\n[[parts]]\nname = "x"\n', "a name of its own"),
        ('[[parts]]\nname = "x"\ndepth = 8\n', "unknown key 'depth'"),
        ('[[parts]]\nname = "x/y"\n', "name"),
        ('[[parts]]\nname = "x"\nscaled = "y"\n', "'scaled' cannot be set in a study file"),
    ],
)
def test_wrong_parts(tmp_path: Path, parts: str, message: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text('name = "a"\nschemes = ["euler"]\ndataset = { name = "digits" }\n' + parts)
    with pytest.raises(RequestError, match=message):
        load_study(path)


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
