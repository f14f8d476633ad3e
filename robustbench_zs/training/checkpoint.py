"""Checkpoints: safetensors with a JSON header that says what the network is and how it came about."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from robustbench_zs.errors import RequestError
from robustbench_zs.networks import NetworkSpec
from robustbench_zs.networks.build import Network, build_network
from robustbench_zs.system.files import canonical_json, write_atomically
from robustbench_zs.training.header import Header, NetworkHeader, SchemeHeader, description, first_problem, network_spec

METADATA_KEY = "zsbench"
DIGEST_KEY = "zsbench_digest"
MAX_HEADER = 2**24


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file whose header has been read and verified; the weights are read, and verified, when they are needed.

    `stated_digest` is the digest that the file says its weights have; None in files from before it was written down.

    Examples:
        >>> short = zs.recipe_from_name("digits").with_changes(epochs=1)
        >>> [checkpoint] = zs.train(["preresnet8:widths=2-2-2"], "digits", train_examples=20, recipe=short)
        >>> checkpoint.network()(torch.rand(1, 1, 8, 8)).shape
        torch.Size([1, 10])
    """

    path: Path
    header: Header
    stated_digest: str | None = None

    @cached_property
    def spec(self) -> NetworkSpec:
        return network_spec(self.header.network)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The weights and buffers by name; weights stored in float16 come back in float32.

        Raises:
            RequestError: the tensors are not those of the network in the header, or are damaged.
        """
        return self._verified[0]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the network's description and its weights; the name and the history do not enter.

        The weights are those that the network computes with: where some are stored in float16, the float32 read back. So
        the digest says which function it is, however it is stored, and rounding gives another one.
        """
        try:
            stat = os.stat(self.path)
        except OSError:  # it was moved since it was read: the weights may be here already
            return self._verified[1]
        file = (str(self.path), stat.st_mtime_ns, stat.st_size, stat.st_ino, self.stated_digest)
        if file not in _DIGESTS:
            _DIGESTS[file] = self._verified[1]
        return _DIGESTS[file]

    @cached_property
    def _verified(self) -> tuple[dict[str, Tensor], str]:
        from safetensors.torch import load_file

        try:
            tensors: dict[str, Tensor] = load_file(self.path)
        except Exception as error:
            raise RequestError(f"{self.path} is damaged: {str(error)[:200]}") from error
        expected = _expected_tensors(_without_coefficients(self.header.network).model_dump_json())
        rounded = self.header.rounded_from is not None
        if expected.keys() != tensors.keys() or not all(expected[name].allows(t, rounded) for name, t in tensors.items()):
            raise RequestError(f"the tensors in {self.path} are not those of the network {self.header.network.name!r}")
        tensors = {name: t.float() if t.dtype == torch.float16 else t for name, t in tensors.items()}
        digest = weights_digest(canonical_json(description(self.header.network)), tensors)
        if self.stated_digest not in (None, digest):
            raise RequestError(f"{self.path} is damaged: its weights are not those that were saved")
        return tensors, digest

    def network(self) -> Network:
        """The trained network in evaluation mode, on the CPU."""
        tensors = self.tensors
        network = _empty_network(self.header.network)
        network.load_state_dict(tensors)
        return network.eval()


_DIGESTS: dict[tuple[str, int, int, int, str | None], str] = {}
"""Of files that this process has verified: a study asks for the digests of its networks again and again."""


def _empty_network(header: NetworkHeader) -> Network:
    unit = ((0.0,) * header.channels, (1.0,) * header.channels)
    return build_network(network_spec(header), header.channels, header.classes, *unit)


@dataclass(frozen=True)
class _Expected:
    """What a tensor of a network must be. `weight`: it is trained, so it may be stored in float16 where weights are rounded;
    statistics of batch norm may not, they overflow there in networks that are not zero-stable."""

    shape: torch.Size
    dtype: torch.dtype
    weight: bool

    def allows(self, tensor: Tensor, rounded: bool) -> bool:
        half = rounded and self.weight and tensor.dtype == torch.float16
        return tensor.shape == self.shape and (tensor.dtype == self.dtype or half)


def _without_coefficients(header: NetworkHeader) -> NetworkHeader:
    """The same tensors: of fixed coefficients they depend on how many there are alone."""
    if not isinstance(header.scheme, SchemeHeader):
        return header
    scheme = SchemeHeader(name=None, alphas=["1"] * len(header.scheme.alphas), beta="1")
    return header.model_copy(update={"name": "", "scheme": scheme})


@lru_cache(maxsize=64)
def _expected_tensors(header: str) -> dict[str, _Expected]:
    """A network's tensors by name, found without memory, whatever the header asks for."""
    with torch.device("meta"):
        network = _empty_network(NetworkHeader.model_validate_json(header))
    weights = {name for name, _ in network.named_parameters()}
    return {name: _Expected(t.shape, t.dtype, name in weights) for name, t in network.state_dict().items()}


def weights_digest(what: str, tensors: Mapping[str, Any]) -> str:
    """SHA-256 over what the network is and the tensors by name, type, shape and bytes.

    The state of a network that is not ours may hold other things too (extra state, packed integers): they are hashed as
    `torch.save` writes them.
    """
    sha = hashlib.sha256(what.encode())
    for name in sorted(tensors):
        if not isinstance(tensors[name], Tensor) or tensors[name].is_quantized:
            written = io.BytesIO()
            torch.save(tensors[name], written)
            sha.update(f"\0{name}\0".encode() + written.getvalue())
            continue
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        # Flat first: the strides of dimensions of length 1 may be anything.
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def save_checkpoint(path: Path, network: torch.nn.Module, header: Header, in_half: Collection[str] = ()) -> Checkpoint:
    """Write the weights with the header, atomically.

    Args:
        in_half: names of weights to store in float16, which must lose nothing by that, with a header that says what they are
            `rounded_from`; see `half_precision`.

    Raises:
        UnfinishedError: the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    digest = weights_digest(canonical_json(description(header.network)), tensors)
    tensors |= {name: tensors[name].half() for name in in_half}
    write_atomically(path, save(tensors, {METADATA_KEY: header.model_dump_json(), DIGEST_KEY: digest}))
    return Checkpoint(path, header, digest)


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read and verify the header of a checkpoint. Nothing is unpickled, and no network is built yet.

    Raises:
        RequestError: there is no such file, it is not safetensors, or its header is not one of ours.

    Examples:
        >>> short = zs.recipe_from_name("digits").with_changes(epochs=1)
        >>> [made] = zs.train(["preresnet8:widths=2-2-2"], "digits", train_examples=20, recipe=short)
        >>> zs.read_checkpoint(made.path).digest == made.digest
        True
    """
    from safetensors import safe_open

    path = Path(path)
    if not os.path.isfile(path):  # True for no pipe, which would be waited for, and for no path that is too long
        raise RequestError(f"there is no checkpoint {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except Exception as error:
        raise RequestError(f"{path} is not a safetensors checkpoint ({str(error)[:100]})") from error
    text = metadata.get(METADATA_KEY)
    if text is None or len(text) > MAX_HEADER:
        raise RequestError(f"{path} has no zsbench header: it was not written by `zsbench train`")
    try:
        header = Header.model_validate_json(text)
        network_spec(header.network)
    except (ValidationError, RequestError) as error:
        raise RequestError(f"the header of {path} is not valid: {first_problem(error)}") from error
    return Checkpoint(path, header, metadata.get(DIGEST_KEY))


def find_checkpoints(folder: Path | str = "checkpoints") -> list[Checkpoint]:
    """All checkpoints of ours below a folder, by path; files of other kinds are passed over."""
    found = []
    for path in sorted(Path(folder).rglob("*.safetensors")):
        try:
            found.append(read_checkpoint(path))
        except RequestError:
            continue
    return found
