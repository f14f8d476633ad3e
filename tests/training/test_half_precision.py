"""Weights in float16 on disk: what is rounded, what is not, and what a reader accepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from half_precision import save_in_half, survives_half
from safetensors.torch import load_file, save_file

from robustbench_zs.datasets import LabelledImages
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import ResultsStore, evaluate
from robustbench_zs.training import Checkpoint, read_checkpoint
from robustbench_zs.training.checkpoint import METADATA_KEY, save_checkpoint


@pytest.fixture(scope="module")
def half(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    path = tmp_path_factory.mktemp("half") / "half.safetensors"
    save_in_half(checkpoint, path)
    return read_checkpoint(path)


def test_convolutions_are_float16_on_disk_and_float32_when_read(checkpoint: Checkpoint, half: Checkpoint) -> None:
    stored = load_file(half.path)
    parameters = dict(checkpoint.network().named_parameters())
    assert half.path.stat().st_size < 0.6 * checkpoint.path.stat().st_size
    for name, tensor in checkpoint.tensors.items():
        if name in parameters and survives_half(tensor):
            assert stored[name].dtype == torch.float16
            assert torch.equal(half.tensors[name], tensor.half().float())
        else:
            assert stored[name].numpy().tobytes() == tensor.numpy().tobytes()
        assert half.tensors[name].dtype == tensor.dtype
    convolutions = [name for name, weight in parameters.items() if weight.dim() == 4]
    assert len(convolutions) > 20
    assert {stored[name].dtype for name in convolutions} == {torch.float16}


def test_statistics_of_any_size_stay_as_they_are(checkpoint: Checkpoint, tmp_path: Path) -> None:
    network = checkpoint.network()
    statistics = [(name, b) for name, b in network.named_buffers() if name.endswith("running_var")]
    for number, (_, variance) in enumerate(statistics):
        variance.fill_(10.0 ** (number % 30))
    huge = save_checkpoint(tmp_path / "huge.safetensors", network, checkpoint.header)
    save_in_half(huge, tmp_path / "half.safetensors")
    again = read_checkpoint(tmp_path / "half.safetensors")
    assert all(torch.equal(again.tensors[name], variance) for name, variance in statistics)


def test_the_rounded_network_is_another_one_however_it_is_stored(
    checkpoint: Checkpoint, half: Checkpoint, tmp_path: Path
) -> None:
    assert half.digest != checkpoint.digest
    assert half.header.rounded_from == checkpoint.digest
    whole = save_checkpoint(tmp_path / "whole.safetensors", half.network(), half.header)
    assert whole.path.stat().st_size > half.path.stat().st_size
    assert read_checkpoint(whole.path).digest == half.digest
    twice = save_in_half(half, tmp_path / "twice.safetensors")
    assert (twice.digest, twice.header.rounded_from) == (half.digest, checkpoint.digest)


def test_digests_of_float32_checkpoints_are_what_they_were(checkpoint: Checkpoint) -> None:
    header = json.loads(checkpoint.header.model_dump_json())
    del header["rounded_from"]  # as files written before have it
    assert type(checkpoint.header).model_validate(header) == checkpoint.header
    assert all(torch.equal(t, checkpoint.tensors[name]) for name, t in load_file(checkpoint.path).items())


def test_next_to_nothing_changes_on_real_images(checkpoint: Checkpoint, half: Checkpoint, digits: LabelledImages) -> None:
    with torch.no_grad():
        before, after = (c.network()(digits.images()) for c in (checkpoint, half))
    assert (before - after).abs().max() < 0.02 * before.abs().max()
    assert (before.argmax(1) != after.argmax(1)).sum() <= 2


def test_the_store_does_not_take_rounded_weights_for_what_was_trained(
    checkpoint: Checkpoint, half: Checkpoint, tmp_path: Path
) -> None:
    place = tmp_path / "results.sqlite"
    frame = evaluate([half.path], store=place, device="cpu", threads=1)
    assert list(frame["digest"]) == [half.digest]
    assert ResultsStore(place).checkpoint(checkpoint.header.training_key) is None
    evaluate([checkpoint.path, half.path], store=place, device="cpu", threads=1)
    known = ResultsStore(place).checkpoint(checkpoint.header.training_key)
    assert known is not None
    assert known[0] == checkpoint.digest


@pytest.mark.parametrize(
    ("values", "survives"),
    [
        ([[0.1, -0.3], [1e-3, 2e-3]], True),
        ([[0.0, 0.0], [1.0, 1e-9]], True),  # what vanishes beside the largest of its filter
        ([[1.0, 1.0], [1e-6, 2e-7]], False),  # a filter in the subnormal range
        ([[1.0, 70_000.0]], False),
        ([[1.0, float("nan")]], False),
        ([[1.0, float("inf")]], False),
        ([[65_504.0, 1.0]], True),
    ],
)
def test_what_survives(values: list[list[float]], survives: bool) -> None:
    assert survives_half(torch.tensor(values)) is survives


def test_weights_that_do_not_survive_stay_float32(checkpoint: Checkpoint, tmp_path: Path) -> None:
    network = checkpoint.network()
    name, weight = next((n, w) for n, w in network.named_parameters() if w.dim() == 4)
    with torch.no_grad():
        weight[0] *= 1e-6
    tiny = save_checkpoint(tmp_path / "tiny.safetensors", network, checkpoint.header)
    save_in_half(tiny, tmp_path / "half.safetensors")
    assert load_file(tmp_path / "half.safetensors")[name].dtype == torch.float32
    assert torch.equal(read_checkpoint(tmp_path / "half.safetensors").tensors[name], weight)


@pytest.mark.parametrize(
    ("ending", "dtype"),
    [
        ("running_mean", torch.float16),
        ("running_var", torch.float16),
        ("num_batches_tracked", torch.int32),
        ("normalize.mean", torch.float16),
        ("stem.weight", torch.bfloat16),
        ("stem.weight", torch.float64),
    ],
)
def test_other_types_are_refused(half: Checkpoint, tmp_path: Path, ending: str, dtype: torch.dtype) -> None:
    tensors = load_file(half.path)
    name = next(n for n in tensors if n.endswith(ending))
    path = tmp_path / "x.safetensors"
    save_file({**tensors, name: tensors[name].to(dtype)}, path, {METADATA_KEY: half.header.model_dump_json()})
    with pytest.raises(RequestError, match="are not those of the network"):
        _ = read_checkpoint(path).tensors


def test_float16_is_refused_where_the_header_does_not_say_that_weights_are_rounded(half: Checkpoint, tmp_path: Path) -> None:
    header = half.header.model_copy(update={"rounded_from": None})
    save_file(load_file(half.path), tmp_path / "x.safetensors", {METADATA_KEY: header.model_dump_json()})
    with pytest.raises(RequestError, match="are not those of the network"):
        _ = read_checkpoint(tmp_path / "x.safetensors").tensors
