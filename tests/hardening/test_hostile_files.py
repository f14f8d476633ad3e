"""What is not a file, what is another kind of file, and names that point elsewhere."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_files import encode, write_parquet
from tiny_files import STUDY, study_with, write_checkpoint

from robustbench_zs.cli.main import main
from robustbench_zs.datasets import load_dataset
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import Model
from robustbench_zs.gate import read_baseline
from robustbench_zs.networks import network_from_name
from robustbench_zs.perturbations.corruptions import CORRUPTIONS, published_images
from robustbench_zs.schemes import scheme_from_name
from robustbench_zs.studies.load import load_study
from robustbench_zs.studies.plan import make_plan
from robustbench_zs.training import find_checkpoints, read_checkpoint

Reader = Callable[[Path], object]


def as_parquet(path: Path) -> object:
    """Read as the training images of a dataset, whose test images are right."""
    folder = path.parent / "own"
    folder.mkdir(exist_ok=True)
    write_parquet(folder / "test.parquet", [encode(np.zeros((8, 8), np.uint8))], [0])
    path.rename(folder / "train.parquet")
    return load_dataset(str(folder)).train


def as_image(path: Path) -> object:
    """Read as the only image of a class folder."""
    for split in ("train", "test"):
        (path.parent / "own" / split / "cat").mkdir(parents=True)
    (path.parent / "own" / "test" / "cat" / "a.png").write_bytes(encode(np.zeros((8, 8), np.uint8)))
    path.rename(path.parent / "own" / "train" / "cat" / "a.png")
    return load_dataset(str(path.parent / "own")).train


def as_streamed_image(path: Path) -> object:
    """Read as an image that is decoded when it is used."""
    for split in ("train", "test"):
        (path.parent / "own" / split / "cat").mkdir(parents=True)
    path.rename(path.parent / "own" / "train" / "cat" / "a.png")
    train = load_dataset(str(path.parent / "own"), image_size=8).train
    return train.digest, train.images()


def as_array(path: Path) -> object:
    """Read as an array of CIFAR-10-C."""
    path.rename(path.with_name("fog.npy"))
    return published_images(path.with_name("fog.npy"), 1)


def as_weights(path: Path) -> object:
    """Read as the weights of a network of the user's own."""
    return Model("torch.nn:Identity", str(path)).load()


READERS: dict[str, Reader] = {
    "study": load_study,
    "checkpoint": lambda path: read_checkpoint(path).network(),
    "baseline": read_baseline,
    "parquet": as_parquet,
    "image": as_image,
    "streamed image": as_streamed_image,
    "array": as_array,
    "weights": as_weights,
}


class Payload:
    """What a pickle of it does when it is loaded: it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def pickled(planted: Path) -> bytes:
    return pickle.dumps(Payload(planted))


def torch_archive(planted: Path) -> bytes:
    path = planted.with_name("archive")
    torch.save({"weight": Payload(planted)}, path)
    return path.read_bytes()


def object_array(planted: Path) -> bytes:
    path = planted.with_name("object.npy")
    np.save(path, np.array([Payload(planted)], dtype=object), allow_pickle=True)
    return path.read_bytes()


def array_archive(planted: Path) -> bytes:
    path = planted.with_name("arrays.npz")
    np.savez(path, fog=np.array([Payload(planted)], dtype=object))
    return path.read_bytes()


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("make", [pickled, torch_archive, object_array, array_archive])
def test_a_pickle_by_any_name_is_refused_and_not_loaded(
    tmp_path: Path, reader: Reader, make: Callable[[Path], bytes]
) -> None:
    planted, path = tmp_path / "planted", tmp_path / "renamed"
    path.write_bytes(make(planted))
    with pytest.raises(RequestError):
        reader(path)
    assert not planted.exists()


def test_the_trap_was_set(tmp_path: Path) -> None:
    pickle.loads(pickled(tmp_path / "planted"))
    assert (tmp_path / "planted").exists()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("make", [pipe, folder, link_to_itself, endless_device])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, reader: Reader, make: Callable[[Path], None]) -> None:
    make(tmp_path / "thing")
    start = time.monotonic()
    with pytest.raises(RequestError):
        reader(tmp_path / "thing")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("name", ["a" * 5000, "a/" * 3000, "nul\0byte", "\udcff", "..", "/", ""])
@pytest.mark.parametrize(
    "use",
    [
        load_study,
        read_checkpoint,
        read_baseline,
        load_dataset,
        lambda name: load_dataset("own", name),
        lambda name: Model("torch.nn:Identity", name).load(),
        lambda name: published_images(Path(name), 1),
        network_from_name,
        scheme_from_name,
    ],
    ids=["study", "checkpoint", "baseline", "dataset", "data folder", "weights", "array", "network", "scheme"],
)
def test_a_name_that_cannot_be_a_file_is_one_that_is_not_there(
    working_folder: Path, name: str, use: Callable[[str], object]
) -> None:
    with pytest.raises(RequestError):
        use(name)
    assert not any(working_folder.iterdir())


def test_what_is_no_checkpoint_is_passed_over(tmp_path: Path) -> None:
    for number, make in enumerate((pipe, folder, link_to_itself, endless_device)):
        make(tmp_path / f"{number}.safetensors")
    (tmp_path / "up").symlink_to("..", target_is_directory=True)
    good = write_checkpoint(tmp_path / "good.safetensors")
    assert [c.path for c in find_checkpoints(tmp_path)] == [good]


@pytest.mark.parametrize("image_size", [None, 8])
def test_links_that_lead_back_up_are_followed_once(tmp_path: Path, image_size: int | None) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            inner = tmp_path / split / name / "deeper"
            inner.mkdir(parents=True)
            (inner / "a.png").write_bytes(encode(np.zeros((8, 8), np.uint8)))
            for number in range(3):  # 3^40 paths, before the system refuses to follow
                (inner / f"up{number}").symlink_to("..", target_is_directory=True)
    dataset = load_dataset(str(tmp_path), image_size=image_size)
    assert (len(dataset.train), len(dataset.test)) == (2, 2)


@pytest.mark.parametrize(
    "text",
    [
        study_with().replace('"tiny"', '"../tiny"'),
        study_with().replace('"tiny"', '"/tmp/tiny"'),
        study_with().replace('"tiny"', '"..\\\\tiny"'),
        study_with().replace('"tiny"', '"tiny\\u0000"'),
        study_with().replace('"tiny"', '"tiny\\n"'),
        study_with().replace('"euler"', '"../euler"'),
        study_with('networks = ["../preresnet8"]'),
        STUDY.replace('schemes = ["euler"]\n', "") + '[[parts]]\nname = "../b"\nschemes = ["euler"]\n',
        STUDY.replace('schemes = ["euler"]\n', "").replace('"tiny"', '"../a"') + '[[parts]]\nname = "b"\nschemes = ["lm"]\n',
    ],
)
def test_names_that_point_elsewhere_are_refused_in_a_study(working_folder: Path, text: str) -> None:
    (working_folder / "a.toml").write_text(text)
    with pytest.raises(RequestError, match=r"a\.toml|there is no"):
        load_study("a.toml")


def test_the_dataset_of_a_study_decides_no_place_of_a_file(working_folder: Path) -> None:
    (working_folder / "data").mkdir()
    outside = working_folder / "inner" / "..;<x> "
    for split in ("train", "test"):
        write_parquet(outside / f"{split}.parquet", [encode(np.zeros((8, 8), np.uint8))] * 4, [0, 1, 0, 1])
    text = STUDY.replace('"digits"', '"../inner/..;<x> "').replace("train_examples = 32\ntest_examples = 16\n", "")
    (working_folder / "a.toml").write_text(text)
    study = load_study("a.toml")
    plan = make_plan(study, "data")
    for step in plan.evaluations:
        assert step.task.path.parent == Path("checkpoints/tiny")
        assert step.task.path.name.startswith("preresnet8")
    assert plan.report.folder == Path("reports/tiny")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "../../tiny"],
        ["report", "../tiny"],
        ["train", "--network", "../preresnet8", "--epochs", "1"],
        ["train", "--scheme", "../../euler", "--epochs", "1"],
        ["train", "--dataset", "../digits", "--epochs", "1"],
        ["roots", "--name", "../../euler"],
        ["evaluate", "../../x.safetensors"],
        ["attack", "--attack", "../pgd"],
        ["corruptions", "--types", "../fog"],
        ["check", "tiny", "--baseline", "../../x.json"],
    ],
    ids=" ".join,
)
def test_nothing_is_written_for_names_that_point_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    write_checkpoint(inner / "x.safetensors")
    monkeypatch.chdir(inner)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dataset_whose_name_cannot_be_printed_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    for number, name in enumerate(("line\nbreak", "\udcff", "\x1b[2J")):
        for split in ("train", "test"):
            write_parquet(tmp_path / f"{number}" / f"{split}.parquet", [encode(np.zeros((8, 8), np.uint8))] * 2, [0, 1])
        (tmp_path / f"{number}").rename(tmp_path / name)
        with pytest.raises(RequestError, match="rename"):
            load_dataset(str(tmp_path / name))


def test_a_published_corruption_goes_by_its_name_only(tmp_path: Path) -> None:
    from robustbench_zs.perturbations.corruptions import PublishedCorruption

    for name in ("../fog", "/fog", "fog\0", ""):
        with pytest.raises(RequestError, match="corruption of published-corruption must be one of"):
            PublishedCorruption(name, 1, str(tmp_path))
    assert all(name.isidentifier() for name in CORRUPTIONS)


def test_only_formats_without_programs_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives EPS to Ghostscript, an interpreter of programs."""
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: (tmp_path / "planted").touch())
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(planted) (w) file closefile\n%%EOF\n"
    for reader in (as_image, as_streamed_image):
        inner = tmp_path / reader.__name__
        inner.mkdir()
        (inner / "image").write_bytes(program)
        with pytest.raises(RequestError):
            reader(inner / "image")
    assert not (tmp_path / "planted").exists()
