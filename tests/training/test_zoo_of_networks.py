"""How a trained network is found by its name, and when the zoo is used; each test has a zoo of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from robustbench_zs import RequestError, load_model
from robustbench_zs.evaluation.sources import resolve_checkpoints
from robustbench_zs.training import Checkpoint, read_checkpoint, zoo
from robustbench_zs.training.checkpoint import save_checkpoint
from robustbench_zs.training.half_precision import save_in_half

ROOT = Path(__file__).resolve().parents[2]
NAME = "zerosnet20-opt:widths=4-8-16"
SAME = "table10-10:depth=20,widths=4-8-16"


@pytest.fixture
def shipped(working_folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's zoo, empty, and an empty working folder."""
    place = tmp_path_factory.mktemp("package")
    monkeypatch.setattr(zoo, "SHIPPED", place)
    return place


def put(checkpoint: Checkpoint, folder: Path, seed: int = 0) -> Checkpoint:
    path = folder / f"network-seed{seed}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_checkpoint(path, checkpoint.network(), checkpoint.header.model_copy(update={"seed": seed}))


def test_a_network_by_its_name(checkpoint: Checkpoint, shipped: Path) -> None:
    (shipped / "digits").mkdir()
    half = save_in_half(checkpoint, shipped / "digits" / "network-seed0.safetensors")
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for name in (NAME, SAME):
        network = load_model(name, dataset="digits")
        assert isinstance(network, torch.nn.Module)
        assert not network.training
        with torch.no_grad():
            assert torch.equal(network(images), half.network()(images))


def test_the_working_folder_comes_first(checkpoint: Checkpoint, shipped: Path, working_folder: Path) -> None:
    put(checkpoint, shipped / "digits")
    other = checkpoint.network()
    with torch.no_grad():
        next(other.parameters()).mul_(2)
    save_checkpoint(working_folder / "checkpoints" / "own.safetensors", other, checkpoint.header)
    found = load_model(NAME, "digits").state_dict()
    assert torch.equal(next(iter(other.parameters())), found[next(n for n, _ in other.named_parameters())])


def test_a_zoo_in_the_working_folder_is_the_zoo(checkpoint: Checkpoint, shipped: Path, working_folder: Path) -> None:
    put(checkpoint, shipped / "digits", seed=1)
    put(checkpoint, working_folder / "checkpoints" / "zoo" / "digits", seed=2)
    assert [c.header.seed for c in zoo.zoo_checkpoints("digits")] == [2]
    assert zoo.own_checkpoints() == []
    load_model(NAME, "digits", seed=2)
    with pytest.raises(RequestError, match=r"no network .* with seed 1 for digits.*choose from zerosnet20-opt.* \(seed 2\)"):
        load_model(NAME, "digits", seed=1)


def test_what_there_is_not(checkpoint: Checkpoint, shipped: Path) -> None:
    with pytest.raises(RequestError, match="train some for that dataset with `zsbench train`"):
        load_model("zerosnet56-opt", dataset="cifar10")
    put(checkpoint, shipped / "digits")
    put(checkpoint, shipped / "digits", seed=3)
    with pytest.raises(RequestError, match=r"choose from zerosnet20-opt:widths=4-8-16 \(seed 0, 3\)"):
        load_model("zerosnet56-opt", dataset="digits")
    with pytest.raises(RequestError, match="there is no network 'nonsense'"):
        load_model("nonsense", dataset="digits")


def test_several_of_one_name(checkpoint: Checkpoint, shipped: Path, working_folder: Path) -> None:
    put(checkpoint, working_folder / "checkpoints" / "a")
    put(checkpoint, working_folder / "checkpoints" / "copy")  # the same weights are no second network
    load_model(NAME, "digits")
    other = checkpoint.network()
    with torch.no_grad():
        next(other.parameters()).mul_(2)
    save_checkpoint(working_folder / "checkpoints" / "b.safetensors", other, checkpoint.header)
    with pytest.raises(RequestError, match=r"there are 2 networks .*read_checkpoint\(FILE\).*b.safetensors"):
        load_model(NAME, "digits")


def test_the_zoo_stands_in_where_the_working_folder_has_none(
    checkpoint: Checkpoint, shipped: Path, working_folder: Path
) -> None:
    message = r"there is no checkpoint below checkpoints/: train some with `zsbench train`, or give a file$"
    with pytest.raises(RequestError, match=message):
        resolve_checkpoints(None)
    there = put(checkpoint, shipped / "digits")
    with pytest.raises(RequestError, match=r"give a file, or choose a dataset of the zoo \(digits\)"):
        resolve_checkpoints(None)
    with pytest.raises(
        RequestError, match="no checkpoint trained on mnist below checkpoints/: train some with `zsbench train`"
    ):
        resolve_checkpoints(None, "mnist")
    assert resolve_checkpoints(None, "digits") == [read_checkpoint(there.path)]
    shutil.copy(there.path, working_folder / "own.safetensors")
    (working_folder / "checkpoints").mkdir()
    own = working_folder / "checkpoints" / "own.safetensors"
    shutil.copy(there.path, own)
    assert [c.path for c in resolve_checkpoints(None, "digits") if isinstance(c, Checkpoint)] == [
        own.relative_to(working_folder)
    ]


def test_the_package_ships_every_file_of_the_zoo_and_git_can_bear_it() -> None:
    folders = (ROOT / "checkpoints" / "zoo", ROOT / "robustbench_zs" / "checkpoints" / "zoo")
    ours, theirs = ({p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders)
    assert ours == theirs
    assert all(p.is_symlink() for p in folders[1].rglob("*") if p.is_file())
    assert sum(map(len, ours.values())) <= 20 * 2**20
    assert all(len(content) <= 5 * 10**6 for content in ours.values())
