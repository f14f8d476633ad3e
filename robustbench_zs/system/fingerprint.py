"""Whether files are still what they were, by their sizes and times, as in `make` and Git."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

MAX_FILES = 20_000
"""Folders with more files have no fingerprint: asking for the times of each would take too long."""


def fingerprint(path: Path, before: int | None = None) -> str | None:
    """What tells a file or all files below a folder from changed ones; None where there are too many, or one that is not
    older than the time `before`. What is not there has a fingerprint too."""
    sha = hashlib.sha256()
    for number, (name, status) in enumerate(_files(path)):
        latest = max(status.st_mtime_ns, status.st_ctime_ns)
        if number == MAX_FILES or (before is not None and latest >= before):
            return None
        sha.update(
            f"\0{name} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}".encode(
                errors="surrogatepass"
            )
        )
    return sha.hexdigest()


def _files(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    if not os.path.isdir(path):  # unlike Path.is_dir, False for a name too long for a path
        if os.path.exists(path):
            yield str(path), path.stat()
        return
    for root, folders, names in os.walk(path, followlinks=True):  # class folders are often links
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            place = os.path.join(root, name)
            yield place, os.stat(place) if os.path.exists(place) else os.lstat(place)  # a link to nowhere, as editors make
