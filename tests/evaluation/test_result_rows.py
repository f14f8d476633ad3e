from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from robustbench_zs.datasets import LabelledImages, load_dataset
from robustbench_zs.errors import RequestError, UnfinishedError
from robustbench_zs.evaluation import attack, evaluate, gap, wilson_interval
from robustbench_zs.evaluation import store as store_module
from robustbench_zs.evaluation.intervals import newcombe_interval
from robustbench_zs.networks.multistep import MultistepResNet
from robustbench_zs.perturbations import FGSM, PGD, GaussianNoise, Perturbation, UniformNoise
from robustbench_zs.perturbations.engines import ENGINES
from robustbench_zs.perturbations.make import make_attacks
from robustbench_zs.training import Checkpoint, read_checkpoint
from robustbench_zs.training.checkpoint import METADATA_KEY

COLUMNS = [
    "schema_version",
    "checkpoint",
    "digest",
    "network",
    "scheme",
    "moduli",
    "zero_stable",
    "block_moduli",
    "train_digest",
    "recipe_digest",
    "dataset",
    "split",
    "perturbation",
    "engine",
    "directions",
    "seed",
    "perturbation_seed",
    "examples",
    "classes",
    "clean_accuracy",
    "accuracy",
    "ci_low",
    "ci_high",
    "drop",
    "dataset_digest",
    "environment",
    "warning",
]

Command = Callable[..., pd.DataFrame]
each_command = pytest.mark.parametrize("command", [evaluate, attack, gap])


def rows_of(store: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(store)) as connection:
        return sorted(connection.execute("SELECT * FROM network_answers"))


def same_numbers(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    columns = ["digest", "perturbation", "clean_accuracy", "accuracy", "drop"]
    return bool(a[columns].equals(b[columns]))


def run(checkpoints: Any, *perturbations: Perturbation, **options: Any) -> pd.DataFrame:
    return evaluate(checkpoints, perturbations, **{"store": None, "device": "cpu", "threads": 1, **options})


@pytest.mark.parametrize("perturbations", [[], [GaussianNoise(0.1)], [FGSM(0.1), UniformNoise(-0.08, 0)]], ids=len)
def test_rows_have_the_columns_of_the_design(checkpoint: Checkpoint, perturbations: list[Perturbation]) -> None:
    frame = run([checkpoint], *perturbations)
    assert list(frame.columns) == COLUMNS
    assert frame["perturbation"].tolist() == [p.label for p in perturbations] or ["clean"]


def test_a_row_says_what_was_measured(checkpoint: Checkpoint, digits: LabelledImages) -> None:
    noise = GaussianNoise(0.3)
    row = run([checkpoint], noise).iloc[0]
    network, images = checkpoint.network(), digits.images()
    with torch.no_grad():
        clean = int((network(images).argmax(1) == digits.labels).sum())
        changed = noise(network, images, digits.labels, torch.arange(len(digits)))
        correct = int((network(changed).argmax(1) == digits.labels).sum())
    assert row["schema_version"] == 1
    assert (row["checkpoint"], row["digest"]) == (str(checkpoint.path), checkpoint.digest)
    assert (row["network"], row["scheme"]) == ("zerosnet20-opt:widths=4-8-16", "zerosnet-opt")
    assert row["moduli"] == pytest.approx([1, 1 / 3, 1 / 3])  # λ* = −9/5: a double root of modulus 1/3
    assert row["zero_stable"]
    assert (row["dataset"], row["split"], row["examples"]) == ("digits", "test", 360)
    assert (row["seed"], row["perturbation_seed"]) == (0, 1)
    assert row["clean_accuracy"] == pytest.approx(100 * clean / 360)
    assert row["accuracy"] == pytest.approx(100 * correct / 360)
    assert row["drop"] == pytest.approx(100 * (clean - correct) / 360)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(wilson_interval(correct, 360))


def test_what_is_unknown_is_null_in_json(checkpoint: Checkpoint) -> None:
    frame = run([checkpoint], GaussianNoise(0.1), FGSM(0.1))
    noise, fgsm = json.loads(frame.to_json(orient="records"))
    assert noise["engine"] is None
    assert noise["perturbation_seed"] == 1
    assert fgsm["engine"] == "native"
    assert fgsm["perturbation_seed"] is None


def test_no_value_of_a_frame_is_nan(checkpoint: Checkpoint) -> None:
    for row in run([checkpoint], GaussianNoise(0.1), FGSM(0.1)).to_dict("records"):
        assert not any(isinstance(value, float) and np.isnan(value) for value in row.values())


def test_rows_are_ordered_by_checkpoint_then_perturbation(checkpoint: Checkpoint, diverged: Checkpoint) -> None:
    told: list[tuple[str, str]] = []
    noises = [GaussianNoise(0.2), GaussianNoise(0.1)]
    frame = run([diverged.path, str(checkpoint.path)], *noises, examples=30, on_result=lambda c, p: told.append((c, p)))
    expected = [(str(c.path), noise.label) for c in (diverged, checkpoint) for noise in noises]
    assert list(zip(frame["checkpoint"], frame["perturbation"], strict=True)) == expected
    assert set(expected) < set(told)


def test_batch_size_and_workers_change_no_number(checkpoint: Checkpoint, diverged: Checkpoint) -> None:
    both, noises = [checkpoint, diverged], [GaussianNoise(0.3), UniformNoise(-0.3, 0.3)]
    expected = run(both, *noises, batch_size=500)
    assert same_numbers(run(both, *noises, batch_size=7), expected)
    assert same_numbers(run(both, *noises, batch_size=7, workers=2), expected)


def test_a_network_that_diverged_has_no_right_answer(diverged: Checkpoint) -> None:
    row = run([diverged], GaussianNoise(0.1)).iloc[0]
    assert (row["clean_accuracy"], row["accuracy"], row["drop"], row["ci_low"]) == (0, 0, 0, 0)
    row = gap([diverged], store=None).iloc[0]
    assert (row["train_accuracy"], row["test_accuracy"], row["gap"]) == (0, 0, 0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["fgsm", "pgd"])
def test_a_network_that_diverged_can_be_attacked(diverged: Checkpoint, kind: str, engine: str) -> None:
    assert attack([diverged], kind, engine=engine, store=None).iloc[0]["accuracy"] == 0


def test_attack_takes_budgets_and_has_a_default(checkpoint: Checkpoint) -> None:
    options: dict[str, Any] = {"store": None, "examples": 40, "threads": 1}
    frame = attack([checkpoint], "fgsm", eps=["8/255", 0.1], **options)
    assert list(frame.columns) == COLUMNS
    assert frame["perturbation"].tolist() == ["fgsm(eps=8/255)", "fgsm(eps=0.1)"]
    assert attack([checkpoint], **options).iloc[0]["perturbation"] == "pgd(eps=0.1, steps=10)"  # of digits


@pytest.mark.parametrize(("kind", "expected"), [("fgsm", FGSM(0.1)), ("pgd", PGD(0.1))])
def test_attacks_are_made_by_name(kind: str, expected: Perturbation) -> None:
    assert make_attacks(kind, ["1/10"]) == [expected]


def test_an_unknown_attack_is_refused_with_those_there_are() -> None:
    with pytest.raises(RequestError, match="choose from fgsm, pgd"):
        make_attacks("deepfool", [0.1])


def test_gap_is_clean_training_accuracy_less_test_accuracy(checkpoint: Checkpoint) -> None:
    data, network = load_dataset("digits", train_examples=400), checkpoint.network()
    with torch.no_grad():
        train, test = (int((network(d.images()).argmax(1) == d.labels).sum()) for d in (data.train, data.test))
    row = gap([checkpoint], store=None).iloc[0]
    assert (row["train_examples"], row["test_examples"]) == (400, 360)
    assert row["gap"] == pytest.approx(100 * train / 400 - 100 * test / 360)
    assert (row["train_ci_low"], row["train_ci_high"]) == pytest.approx(wilson_interval(train, 400))
    assert (row["test_ci_low"], row["test_ci_high"]) == pytest.approx(wilson_interval(test, 360))
    assert (row["gap_ci_low"], row["gap_ci_high"]) == pytest.approx(newcombe_interval(train, 400, test, 360))


def test_gap_refuses_other_training_images_than_the_checkpoints(checkpoint: Checkpoint, tmp_path: Path) -> None:
    header = json.loads(checkpoint.header.model_dump_json())
    header["dataset"]["train_digest"] = "0" * 64
    save_file(checkpoint.tensors, tmp_path / "x.safetensors", {METADATA_KEY: json.dumps(header)})
    with pytest.raises(RequestError, match="not those"):
        gap([tmp_path / "x.safetensors"], store=None)


def test_a_second_call_computes_nothing(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected(*_: Any) -> torch.Tensor:
        raise AssertionError("the network was used")

    store = tmp_path / "results.sqlite"
    noises = [GaussianNoise(0.1), FGSM(0.1)]
    first = run([checkpoint], *noises, store=store)
    before = rows_of(store)
    assert len(before) == 3
    monkeypatch.setattr(MultistepResNet, "forward", unexpected)
    assert run([checkpoint], *noises, store=store).equals(first)
    assert rows_of(store) == before
    for other in ({"examples": 30}, {"split": "train"}):
        with pytest.raises(AssertionError, match="was used"):
            run([checkpoint], *noises, store=store, **other)
    with pytest.raises(AssertionError, match="was used"):
        run([checkpoint], GaussianNoise(0.1, seed=2), store=store)


def test_another_number_of_examples_or_seed_is_another_row(checkpoint: Checkpoint, tmp_path: Path) -> None:
    store = tmp_path / "results.sqlite"
    for number, (noise, examples) in enumerate(
        [(GaussianNoise(0.1), 30), (GaussianNoise(0.1), 40), (GaussianNoise(0.1, 2), 30)]
    ):
        run([checkpoint], noise, examples=examples, store=store)
        assert len(rows_of(store)) == (2, 4, 5)[number]  # clean images have no seed


def test_a_copy_under_another_name_is_the_same_checkpoint(checkpoint: Checkpoint, tmp_path: Path) -> None:
    copy = shutil.copy(checkpoint.path, tmp_path / "copy.safetensors")
    store = tmp_path / "results.sqlite"
    for path in (checkpoint.path, copy):
        frame = run([path], examples=20, store=store)
        assert frame["checkpoint"].tolist() == [str(path)]
    assert len(rows_of(store)) == 1


def test_a_file_that_changed_under_its_name_is_another_checkpoint(
    checkpoint: Checkpoint, diverged: Checkpoint, tmp_path: Path
) -> None:
    path, store = tmp_path / "x.safetensors", tmp_path / "results.sqlite"
    for source in (checkpoint, diverged):
        shutil.copy(source.path, path)
        assert run([path], store=store).iloc[0]["digest"] == source.digest
    assert len(rows_of(store)) == 2


def test_the_default_store_is_below_the_working_folder_and_none_stores_nothing(
    checkpoint: Checkpoint, working_folder: Path
) -> None:
    run([checkpoint], examples=20)
    assert not list(working_folder.iterdir())
    evaluate([checkpoint], examples=20, threads=1)
    assert len(rows_of(working_folder / "reports" / "results.sqlite")) == 1


def test_checkpoints_of_the_working_folder_are_the_default(
    checkpoint: Checkpoint, diverged: Checkpoint, working_folder: Path
) -> None:
    (working_folder / "checkpoints").mkdir()
    for name, source in (("b", checkpoint), ("a", diverged)):
        shutil.copy(source.path, working_folder / "checkpoints" / f"{name}.safetensors")
    assert run(None, examples=20)["digest"].tolist() == [diverged.digest, checkpoint.digest]


@each_command
@pytest.mark.parametrize("options", [{}, {"dataset": "cifar100"}], ids=str)
def test_without_a_checkpoint_the_user_learns_how_to_get_one(
    working_folder: Path, command: Command, options: dict[str, str]
) -> None:
    with pytest.raises(RequestError, match="zsbench train"):
        command(**options)
    assert not list(working_folder.iterdir())


@each_command
def test_a_store_that_is_text_is_refused(checkpoint: Checkpoint, tmp_path: Path, command: Command) -> None:
    (tmp_path / "store").write_text("text " * 1000)
    with pytest.raises(RequestError, match="not a results store"):
        command([checkpoint], store=tmp_path / "store", examples=20)


@each_command
def test_a_store_that_is_locked_leaves_the_request_unfinished(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr(store_module, "LOCK_TIMEOUT", 0.05)
    with closing(sqlite3.connect(tmp_path / "store")) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UnfinishedError, match="locked"):
            command([checkpoint], store=tmp_path / "store", examples=20)


@pytest.fixture
def coloured_images(tmp_path: Path) -> Path:
    """A dataset of the user's own: class folders of 16×16 RGB images."""
    for split in ("train", "test"):
        for name in "ab":
            (tmp_path / "coloured" / split / name).mkdir(parents=True)
            Image.new("RGB", (16, 16), "red").save(tmp_path / "coloured" / split / name / "1.png")
    return tmp_path / "coloured"


def test_a_dataset_that_does_not_fit_the_checkpoint_is_refused(checkpoint: Checkpoint, coloured_images: Path) -> None:
    with pytest.raises(RequestError, match=r"1×8×8 in 10 classes.*3×16×16 in 2"):
        run([checkpoint], dataset=str(coloured_images))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"examples": 0}, "number of images"),
        ({"examples": 361}, "360"),
        ({"batch_size": 0}, "batch size"),
        ({"threads": 0}, "threads"),
        ({"dataset": "letters"}, "letters"),
        ({"split": "validation"}, "train"),
        ({"device": "abacus"}, "abacus"),
    ],
    ids=str,
)
def test_a_wrong_request_is_refused_in_one_sentence(checkpoint: Checkpoint, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        run([checkpoint], **wrong)


def test_a_text_file_as_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(RequestError, match=r"notes\.txt"):
        run([tmp_path / "notes.txt"])


def test_the_number_of_threads_is_left_as_it_was(checkpoint: Checkpoint) -> None:
    before = torch.get_num_threads()
    run([checkpoint], examples=20, threads=before + 1)
    assert torch.get_num_threads() == before


def test_a_checkpoint_read_once_can_be_used_without_its_file(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = Path(shutil.copy(checkpoint.path, tmp_path / "x.safetensors"))
    read = read_checkpoint(path)
    expected = run([read], examples=20)
    path.unlink()
    assert same_numbers(run([read], examples=20), expected)
