"""Files that one process at a time may hold; the lock of a process that is killed goes with it.

`filelock` is not used: on Unix it has to leave its lock files behind, and a file is written here under the lock that it is.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from robustbench_zs.errors import UnfinishedError

try:
    import fcntl
except ImportError as error:
    raise ImportError("zsbench needs Linux or macOS; on Windows it runs in the Windows Subsystem for Linux (WSL)") from error

LOCK = ".lock"
"""The file in a folder that is locked by whoever trains into it."""

WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What some network file systems answer: there two processes at once are on their own."""


@contextmanager
def held(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Create `path` or open what is there, and hold its lock; inside, its file descriptor, open for writing.

    Whoever holds it may rename or remove the file. Those that waited then see that the file they opened is no longer at its
    place, and open the new one.

    Args:
        path: its folder must exist; it is not followed if it is a link.
        on_wait: called once if another process holds the lock.

    Raises:
        OSError: the file cannot be opened for writing.
    """
    waited = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            if not _locked(descriptor, wait=False):
                if not waited:
                    on_wait()
                waited = True
                _locked(descriptor, wait=True)
            if _is_at(descriptor, path):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _locked(descriptor: int, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def is_locked(folder: Path) -> bool:
    """Whether a process trains into a folder, or did until it was killed."""
    return (folder / LOCK).exists()


@contextmanager
def alone_in(folder: Path, say: Callable[[str], None] = lambda words: None) -> Iterator[None]:
    """Be the only process that trains into a folder; wait until another one is done.

    The folder is made if absent, and goes again if nothing came into it.

    Args:
        say: gets a sentence if there is another one.

    Raises:
        UnfinishedError: the folder cannot be written.
    """
    path = folder / LOCK
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(path, lambda: say(f"another process is at work in {folder}: waiting until it is done")))
        except OSError as error:
            raise UnfinishedError(f"{path} could not be made: {error.strerror or error}") from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # the first that is not empty ends it
                for place in made:
                    place.rmdir()
