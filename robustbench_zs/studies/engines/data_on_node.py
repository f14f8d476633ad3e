"""The images of a study on the nodes of a cluster: on a path that all share, or sent to each node once."""

from __future__ import annotations

import getpass
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from robustbench_zs.datasets.load import default_data_dir
from robustbench_zs.errors import RequestError
from robustbench_zs.system.files import write_atomically
from robustbench_zs.system.locks import held
from robustbench_zs.training.task import TrainingTask

MAX_BYTES = 4 * 2**30
"""Of a dataset that is sent to the nodes; a larger one has to be on a path that they share."""

Files = Mapping[str, bytes]
"""Contents by path below the folder of a dataset."""


@dataclass(frozen=True)
class DataFolder:
    """The folder of a dataset where the study is run, and the digest of its files if they may be sent (else empty)."""

    path: Path
    digest: str = ""

    def here(self, files: Callable[[], Files]) -> Path:
        """The folder on this node: at the same path, if that is there, else in a cache that all jobs of the node use.

        Args:
            files: fetches the contents; called by the first job that needs them.

        Raises:
            RequestError: it is neither there nor sent.
        """
        if self.path.is_dir():
            return self.path
        if not self.digest:
            raise RequestError(
                f"the dataset {self.path} is not on this node and is too large to be sent: put it on a path that all nodes "
                "share"
            )
        folder = node_folder() / self.digest / self.path.name
        folder.parent.mkdir(parents=True, exist_ok=True)
        complete = folder.parent / "complete"
        with held(folder.parent / "lock"):
            if not complete.exists():
                for name, content in files().items():
                    write_atomically(folder / name, content)
                complete.touch()
        return folder


def folder_of(task: TrainingTask) -> Path | None:
    """The folder that a task's dataset is read from; None for one that comes with the package."""
    inside = Path(task.data_dir or default_data_dir()) / task.dataset
    return next((path.absolute() for path in (inside, Path(task.dataset)) if path.is_dir()), None)


def read_folder(path: Path) -> tuple[DataFolder, Files]:
    """A dataset's folder with its contents; without them where they are more than `MAX_BYTES`."""
    found = sorted(file for file in path.rglob("*") if file.is_file())
    if sum(file.stat().st_size for file in found) > MAX_BYTES:
        return DataFolder(path), {}
    files = {str(file.relative_to(path)): file.read_bytes() for file in found}
    sha = hashlib.sha256()
    for name, content in files.items():
        sha.update(f"\0{name}\0{len(content)}\0".encode() + hashlib.sha256(content).digest())
    return DataFolder(path, sha.hexdigest()), files


def node_folder() -> Path:
    """A folder for files of this user on this node.

    Raises:
        RequestError: another user has put a folder there.
    """
    folder = Path(tempfile.gettempdir()) / f"zsbench-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise RequestError(f"{folder} belongs to another user: set $TMPDIR on the nodes to a folder of your own")
    return folder
