"""Errors and warnings for users.

Every message is one sentence that says what was wrong, what is allowed, and what to do. It does not mention options of the
command line, since the same error is raised in Python.
"""

from __future__ import annotations


class ZsbenchError(Exception):
    """Base class of all errors that are meant for users; the command line exits with `exit_code`."""

    exit_code = 3


class RequestError(ZsbenchError, ValueError):
    """The request is wrong: an unknown name, a number out of range, an unreadable file (exit code 2)."""

    exit_code = 2


class UnfinishedError(ZsbenchError, RuntimeError):
    """The request is right but could not be finished, because of a disk, a lock or memory (exit code 3)."""


class ZsbenchWarning(UserWarning):
    """Something that users should know about a result that is nevertheless valid."""


class AttackWarning(ZsbenchWarning):
    """Robust accuracy is probably too high; the message says why."""
