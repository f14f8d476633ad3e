"""Files appear whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from robustbench_zs.errors import UnfinishedError
from robustbench_zs.system.locks import held


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write to a temporary file beside `path`, flush it to the disk, then rename it over `path`.

    A link stays one, and a pipe or device is written to. Of a process that is killed meanwhile the temporary file stays,
    under a name that the next one to write `path` takes up.

    Raises:
        UnfinishedError: the folder or file cannot be written (full disk, read-only, no permission).
    """
    data = memoryview(content.encode() if isinstance(content, str) else content)
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(data)
            return
        path = path.resolve() if path.is_symlink() else path
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{path.name[:60]}.part"
        with held(temporary) as descriptor:
            try:
                os.ftruncate(descriptor, 0)
                while data:
                    data = data[os.write(descriptor, data) :]
                os.fsync(descriptor)
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise UnfinishedError(f"{path} could not be written: {error.strerror or error}") from error


def canonical_json(value: Any) -> str:
    """JSON that is the same for equal values: sorted keys, no spaces; NaN and infinity are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
