"""What travels between the process that runs a study and those that do its jobs: files, each with its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from robustbench_zs.errors import UnfinishedError
from robustbench_zs.system.files import write_atomically


@dataclass(frozen=True)
class Parcel:
    """A file on its way: its name without a folder, its bytes and their SHA-256."""

    name: str
    content: bytes
    digest: str

    @staticmethod
    def of(path: Path) -> Parcel:
        """The file at a path.

        Raises:
            OSError: it cannot be read.
        """
        content = path.read_bytes()
        return Parcel(path.name, content, hashlib.sha256(content).hexdigest())

    def unpack(self, path: Path) -> None:
        """Write the file to `path`.

        Raises:
            UnfinishedError: its bytes are not those that were sent, or it cannot be written.
        """
        if hashlib.sha256(self.content).hexdigest() != self.digest:
            raise UnfinishedError(f"{self.name} was damaged in transit")
        write_atomically(path, self.content)


def parcels(paths: Iterable[Path]) -> tuple[Parcel, ...]:
    """Those of the files that are there."""
    return tuple(Parcel.of(path) for path in paths if path.is_file())
