"""The state of a training that is under way, so that an interrupted one goes on where it was: safetensors and JSON."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Generator, Tensor, nn

from robustbench_zs.errors import RequestError
from robustbench_zs.schemes import parse_coefficient
from robustbench_zs.system.files import write_atomically
from robustbench_zs.training.checkpoint import DIGEST_KEY, METADATA_KEY, weights_digest
from robustbench_zs.training.header import EpochHeader, ExecutionTable, History, Part, first_problem

STATE_INTERVAL = 60.0
"""Seconds between two writings: what an interruption costs at most, besides the epoch it falls in."""

INTERVAL_VARIABLE = "ZSBENCH_STATE_SECONDS"
"""Another interval, for machines that are taken away more often."""


def state_interval() -> float:
    """Seconds between two writings.

    Raises:
        RequestError: the environment variable is not a number of seconds.
    """
    text = os.environ.get(INTERVAL_VARIABLE)
    if not text:
        return STATE_INTERVAL
    try:
        seconds = float(parse_coefficient(text))
    except RequestError:
        seconds = -1.0
    if seconds < 0:
        raise RequestError(f"${INTERVAL_VARIABLE} must be the number of seconds between two saves, not {text[:40]!r}")
    return seconds


class StateHeader(Part):
    """What a state says about itself besides its tensors."""

    training_key: str
    execution: ExecutionTable
    history: History
    best_accuracy: float


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands after an epoch; tensors by `network.NAME`, `momentum.NAME`, `best.NAME`, `generator.NAME`."""

    header: StateHeader
    tensors: Mapping[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors of one kind, by name."""
        return {n.removeprefix(f"{prefix}."): t for n, t in self.tensors.items() if n.startswith(f"{prefix}.")}


@dataclass
class StateFile:
    """The file that holds the state of one training; gone when the training is done.

    Args:
        path: its place.
        training_key: of the training it belongs to.
        execution: how that runs, see `train.Execution`.
    """

    path: Path
    training_key: str
    execution: dict[str, str | int | bool]

    def __post_init__(self) -> None:
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to write again."""
        return time.monotonic() - self._written >= state_interval()

    def read(self) -> TrainingState | None:
        """The state to go on from, None where the training is to begin.

        Raises:
            RequestError: the file is damaged.
        """
        from safetensors import safe_open

        if not os.path.isfile(self.path):
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                header = StateHeader.model_validate_json(metadata.get(METADATA_KEY, ""))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — no mapping
            if metadata.get(DIGEST_KEY) != weights_digest("", tensors):
                raise ValueError("its tensors are not those that were saved")
        except Exception as error:
            reason = first_problem(error) if isinstance(error, ValidationError) else str(error)[:100]
            raise RequestError(
                f"the training state {self.path} is damaged ({reason}): remove it to train from the beginning"
            ) from error
        return TrainingState(header, tensors) if header.training_key == self.training_key else None

    def write(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        generators: Mapping[str, Generator],
        history: list[EpochHeader],
        best_accuracy: float,
        best_weights: Mapping[str, Tensor],
    ) -> None:
        """Write the state after an epoch.

        Raises:
            UnfinishedError: the file cannot be written.
        """
        from safetensors.torch import save

        groups = {
            "network": network.state_dict(),
            "momentum": {
                name: optimizer.state[p]["momentum_buffer"]
                for name, p in network.named_parameters()
                if optimizer.state[p].get("momentum_buffer") is not None  # none without momentum
            },
            "best": best_weights,
            "generator": {name: generator.get_state() for name, generator in generators.items()},
        }
        tensors = {
            f"{prefix}.{name}": tensor.detach().cpu().contiguous()
            for prefix, group in groups.items()
            for name, tensor in group.items()
        }
        header = StateHeader(
            training_key=self.training_key, execution=self.execution, history=history, best_accuracy=best_accuracy
        )
        metadata = {METADATA_KEY: header.model_dump_json(), DIGEST_KEY: weights_digest("", tensors)}
        write_atomically(self.path, save(tensors, metadata))
        self._written = time.monotonic()

    def remove(self) -> None:
        """The training is done."""
        self.path.unlink(missing_ok=True)


def restore(
    state: TrainingState, network: nn.Module, optimizer: torch.optim.Optimizer, generators: Mapping[str, Generator]
) -> None:
    """Bring network, optimizer and generators to where the training stood.

    Raises:
        RequestError: the tensors are not those of this training.
    """
    try:
        network.load_state_dict(state.part("network"))
        momentum = state.part("momentum")
        for name, parameter in network.named_parameters():
            if name in momentum:
                optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(momentum[name])
        for name, generator in generators.items():
            generator.set_state(state.part("generator")[name])
    except (RuntimeError, KeyError, TypeError) as error:
        raise RequestError(f"the training state is that of another network: {str(error)[:100]}") from error
