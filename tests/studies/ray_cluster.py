"""Ray nodes on loopback, each a process of its own, and what of a results store has to be equal."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

OPTIONS = [
    "--num-cpus=1",
    "--object-store-memory=80000000",
    "--disable-usage-stats",
    "--node-ip-address=127.0.0.1",
    "--block",
]
PATIENCE = 180.0

EQUAL = {
    "network_answers": "key, answer",
    "outcomes": "weights_digest, dataset_digest, split, perturbation, examples, evaluation_version, correct, near_ties",
    "checkpoints": "training_key, weights_digest, path",
    "evidence": "key, evidence",
    "distances": "key, distances",
}
"""Columns by table that do not say when, where and how fast."""


def rows(store: Path) -> dict[str, list[tuple[object, ...]]]:
    """What of a store has to be equal, whoever filled it."""
    connection = sqlite3.connect(store)
    found = {table: sorted(connection.execute(f"SELECT {columns} FROM {table}")) for table, columns in EQUAL.items()}
    connection.close()
    return found


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and that those started."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [*children, *(each for child in children for each in descendants(child))]


class Cluster:
    """A head and further nodes, started one after the other: two at once would want the same ports."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self.nodes: list[subprocess.Popen[bytes]] = []
        self._start("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}/ray")

    def add_node(self) -> None:
        self._start(f"--address={self.address}")

    def _start(self, *options: str) -> None:
        log = self.folder / f"node{len(self.nodes)}.log"
        command = [str(Path(sys.executable).parent / "ray"), "start", *options, *OPTIONS]
        with log.open("wb") as out:
            self.nodes.append(subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=self.environment))
        deadline = time.monotonic() + PATIENCE
        while b"Ray runtime started" not in log.read_bytes():
            assert self.nodes[-1].poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """End a node as if its machine lost power."""
        for pid in (node.pid, *descendants(node.pid)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        node.wait()

    def close(self) -> None:
        for node in reversed(self.nodes):
            self.kill(node)
