"""The two ways in which a request can end badly.

Every message is one sentence for the user: what was wrong, what is allowed, what to do.
"""

from __future__ import annotations


class ZsbenchError(Exception):
    """Base of all errors that are meant for the user; `exit_code` is that of the command line."""

    exit_code = 3


class RequestError(ZsbenchError, ValueError):
    """The request was wrong: unknown name, number out of range, unreadable file (exit code 2)."""

    exit_code = 2


class UnfinishedError(ZsbenchError, RuntimeError):
    """The request was right but could not be finished: disk, lock, memory (exit code 3)."""


class AttackWarning(UserWarning):
    """A result of an attack that should not be trusted as it stands; the message says why."""
