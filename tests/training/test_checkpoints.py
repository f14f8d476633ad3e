from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from robustbench_zs.datasets import LabelledImages
from robustbench_zs.errors import RequestError
from robustbench_zs.networks import NetworkSpec
from robustbench_zs.networks.multistep import MultistepResNet
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.training import Checkpoint, find_checkpoints, read_checkpoint
from robustbench_zs.training.checkpoint import METADATA_KEY, save_checkpoint
from robustbench_zs.training.header import Header, network_header, network_spec

Edit = Callable[[dict[str, Any]], object]


def rewritten(
    checkpoint: Checkpoint, path: Path, edit: Edit = lambda header: None, tensors: dict[str, torch.Tensor] | None = None
) -> Path:
    """A copy of the checkpoint with another header or other tensors."""
    header = json.loads(checkpoint.header.model_dump_json())
    edit(header)
    save_file(checkpoint.tensors if tensors is None else tensors, path, {METADATA_KEY: json.dumps(header)})
    return path


def put(place: str, value: Any) -> Edit:
    """An edit that sets the entry at `place`, such as `network.depth`."""

    def edit(header: dict[str, Any]) -> None:
        *parents, last = place.split(".")
        for parent in parents:
            header = header[parent]
        header[last] = value

    return edit


def test_weights_and_header_come_back_as_they_were(checkpoint: Checkpoint, digits: LabelledImages, tmp_path: Path) -> None:
    network = checkpoint.network()
    again = read_checkpoint(save_checkpoint(tmp_path / "copy.safetensors", network, checkpoint.header).path)
    assert again.header == checkpoint.header
    assert again.spec == checkpoint.spec
    assert again.digest == checkpoint.digest
    assert not again.network().training
    for name, tensor in network.state_dict().items():
        assert tensor.numpy().tobytes() == again.network().state_dict()[name].numpy().tobytes()
    with torch.no_grad():
        assert torch.equal(network(digits.images()), again.network()(digits.images()))


def test_weights_that_are_not_finite_come_back_bit_for_bit(diverged: Checkpoint) -> None:
    loaded = diverged.network().state_dict()
    assert all(loaded[name].numpy().tobytes() == tensor.numpy().tobytes() for name, tensor in diverged.tensors.items())


coefficients = st.fractions(-5, 5, max_denominator=1000) | st.floats(-5, 5)


@settings(max_examples=100, deadline=None)
@given(alphas=st.lists(coefficients, min_size=1, max_size=4), beta=coefficients)
def test_coefficients_survive_the_header_exactly(alphas: list[Fraction | float], beta: Fraction | float) -> None:
    spec = NetworkSpec(MultistepScheme(alphas, beta), 32, "basic", (4, 8, 16))
    text = network_header(spec, 1, 10).model_dump_json()
    again = network_spec(type(network_header(spec, 1, 10)).model_validate_json(text))
    assert again == spec
    assert again.fixed_scheme is not None
    assert [type(a) for a in (*again.fixed_scheme.alphas, again.fixed_scheme.beta)] == [type(a) for a in (*alphas, beta)]


@pytest.mark.parametrize("third", [Fraction(1, 3), 1 / 3], ids=["exact", "float"])
def test_a_third_stays_what_it_was_in_a_file(checkpoint: Checkpoint, tmp_path: Path, third: Fraction | float) -> None:
    spec = NetworkSpec(MultistepScheme([third, 5 * third / 3, third / 3], third), 20, "basic", (4, 8, 16))
    header = checkpoint.header.model_copy(update={"network": network_header(spec, 1, 10)})
    path = tmp_path / "third.safetensors"
    save_checkpoint(path, MultistepResNet(spec, 1, 10, (0.5,), (1.0,)), header)
    found = read_checkpoint(path).spec.fixed_scheme
    assert found is not None
    assert found.alphas[0] == third
    assert isinstance(found.alphas[0], type(third))
    assert isinstance(found.beta, type(third))
    assert read_checkpoint(path).digest == Checkpoint(path, header).digest


def test_the_digest_changes_with_the_last_bit_of_one_weight(checkpoint: Checkpoint, tmp_path: Path) -> None:
    for number, name in enumerate(sorted(checkpoint.tensors)[::20]):
        tensors = {n: t.clone() for n, t in checkpoint.tensors.items()}
        flat = tensors[name].view(-1)
        flat[0] = flat[0] + 1 if flat.dtype == torch.int64 else float(np.nextafter(np.float32(flat[0]), np.float32(np.inf)))
        changed = read_checkpoint(rewritten(checkpoint, tmp_path / f"{number}.safetensors", tensors=tensors))
        assert changed.digest != checkpoint.digest


def test_a_flipped_bit_in_the_weights_is_noticed(checkpoint: Checkpoint, tmp_path: Path) -> None:
    content = bytearray(checkpoint.path.read_bytes())
    for place in (len(content) - 1, len(content) - checkpoint.tensors["stem.weight"].nbytes, len(content) // 2):
        damaged = tmp_path / "x.safetensors"
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(RequestError, match="is damaged"):
            read_checkpoint(damaged).network()
        with pytest.raises(RequestError, match="is damaged"):
            read_checkpoint(damaged).digest  # noqa: B018


@pytest.mark.parametrize("edit", [put("network.name", "x"), put("network.scheme.name", None), put("seed", 9)])
def test_the_digest_is_not_moved_by_names_or_history(checkpoint: Checkpoint, tmp_path: Path, edit: Edit) -> None:
    assert read_checkpoint(rewritten(checkpoint, tmp_path / "x.safetensors", edit)).digest == checkpoint.digest


def test_the_digest_is_not_moved_by_the_name_of_the_file(checkpoint: Checkpoint, tmp_path: Path) -> None:
    other = shutil.copy(checkpoint.path, tmp_path / "other.safetensors")
    assert read_checkpoint(other).digest == checkpoint.digest


@pytest.mark.parametrize("edit", [put("network.scheme.beta", "2"), put("network.scheme.alphas", ["1", "0", "0"])])
def test_the_same_weights_in_another_scheme_have_another_digest(checkpoint: Checkpoint, tmp_path: Path, edit: Edit) -> None:
    assert read_checkpoint(rewritten(checkpoint, tmp_path / "x.safetensors", edit)).digest != checkpoint.digest


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello, this is a text file\n" * 100,
        b"\xff" * 7 + b"\x7f" + b"{}",  # a header of 2^63 bytes
        (2).to_bytes(8, "little") + b"{}",  # safetensors without tensors and header
        (9).to_bytes(8, "little") + b"not json!",
    ],
    ids=["empty", "text", "huge header", "nothing in it", "no json"],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=r"x\.safetensors"):
        read_checkpoint(path)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RequestError, match="no checkpoint"):
            read_checkpoint(path)


@pytest.mark.parametrize(
    "metadata", [None, {"format": "pt"}, {METADATA_KEY: ""}, {METADATA_KEY: "[1, 2"}, {METADATA_KEY: "[]"}]
)
def test_safetensors_of_others_are_refused(checkpoint: Checkpoint, tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file(checkpoint.tensors, tmp_path / "x.safetensors", metadata)
    with pytest.raises(RequestError, match="header"):
        read_checkpoint(tmp_path / "x.safetensors")


@pytest.mark.parametrize("field", sorted(name for name, field in Header.model_fields.items() if field.is_required()))
def test_a_header_without_one_of_its_fields_is_refused(checkpoint: Checkpoint, tmp_path: Path, field: str) -> None:
    path = rewritten(checkpoint, tmp_path / "x.safetensors", lambda header: header.pop(field))
    with pytest.raises(RequestError, match=field):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("extra", 1),
        ("network.extra", 1),
        ("network.scheme.extra", 1),
        ("format", 2),
        ("seed", "many"),
        ("network.scheme.alphas", []),
        ("network.scheme.alphas", ["nan"]),
        ("network.scheme.alphas", ["1"] * 200),
        ("network.scheme.alphas", ["__import__('os')"]),
        ("network.scheme.beta", "1e400"),
        ("network.block", "wide"),
        ("network.depth", 21),
        ("network.depth", -20),
        ("network.depth", 10**12 + 8),
        ("network.depth", 6 * 10**100 + 2),
        ("network.widths", [4, 8]),
        ("network.widths", [10**12] * 3),
        ("network.channels", 10**12),
        ("network.classes", 10**12),
        ("history", [{"epoch": 1}]),
    ],
)
def test_a_header_that_says_something_impossible_is_refused_at_once(
    checkpoint: Checkpoint, tmp_path: Path, place: str, value: Any
) -> None:
    path = rewritten(checkpoint, tmp_path / "x.safetensors", put(place, value))
    start = time.monotonic()
    with pytest.raises(RequestError) as refused:
        read_checkpoint(path)
    assert time.monotonic() - start < 2
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "network",
    [{"widths": [4096] * 3}, {"depth": 1994, "widths": [4096] * 3}, {"channels": 4096, "classes": 100_000}],
    ids=["wide", "deep and wide", "many channels"],
)
def test_a_large_network_in_the_header_takes_no_memory(
    checkpoint: Checkpoint, tmp_path: Path, network: dict[str, Any]
) -> None:
    path = rewritten(checkpoint, tmp_path / "x.safetensors", lambda header: header["network"].update(network))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RequestError, match="not those of the network"):
        read_checkpoint(path).network()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * (1 if sys.platform == "darwin" else 1024) < 500e6


def without_one(tensors: dict[str, torch.Tensor]) -> object:
    return tensors.pop("stem.weight")


def with_another(tensors: dict[str, torch.Tensor]) -> object:
    return tensors.update(extra=torch.zeros(1))


def of_another_shape(tensors: dict[str, torch.Tensor]) -> object:
    return tensors.update({"stem.weight": torch.zeros(4, 1, 5, 5)})


def of_another_type(tensors: dict[str, torch.Tensor]) -> object:
    return tensors.update({"stem.weight": tensors["stem.weight"].half()})


@pytest.mark.parametrize("change", [without_one, with_another, of_another_shape, of_another_type])
@pytest.mark.parametrize("use", [lambda c: c.network(), lambda c: c.digest], ids=["network", "digest"])
def test_tensors_that_are_not_the_networks_are_refused(
    checkpoint: Checkpoint, tmp_path: Path, change: Edit, use: Callable[[Checkpoint], object]
) -> None:
    tensors = dict(checkpoint.tensors)
    change(tensors)
    damaged = read_checkpoint(rewritten(checkpoint, tmp_path / "x.safetensors", tensors=tensors))
    with pytest.raises(RequestError, match="not those of the network"):
        use(damaged)


@pytest.mark.parametrize("part", [0.001, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(checkpoint: Checkpoint, tmp_path: Path, part: float) -> None:
    content = checkpoint.path.read_bytes()
    (tmp_path / "x.safetensors").write_bytes(content[: int(part * len(content))])
    with pytest.raises(RequestError):
        read_checkpoint(tmp_path / "x.safetensors").network()


class Payload:
    """What a pickle of it does when it is loaded: it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_under_the_name_of_a_checkpoint_is_refused_unread(tmp_path: Path, zipped: bool) -> None:
    path, planted = tmp_path / "x.safetensors", tmp_path / "planted"
    torch.save({"stem.weight": Payload(planted)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(RequestError, match="not a safetensors checkpoint"):
        read_checkpoint(path)
    assert find_checkpoints(tmp_path) == []
    assert not planted.exists()
    with path.open("rb") as file:
        torch.load(file, weights_only=False)
    assert planted.exists()  # so the trap was set


def test_checkpoints_are_found_in_subfolders_and_other_files_passed_over(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.safetensors", "sub/a.safetensors", "copy.bak"):
        shutil.copy(checkpoint.path, tmp_path / name)
    (tmp_path / "text.safetensors").write_text("text")
    found = [c.path.relative_to(tmp_path).as_posix() for c in find_checkpoints(tmp_path)]
    assert found == ["b.safetensors", "sub/a.safetensors"]
    assert find_checkpoints(tmp_path / "nowhere") == []
