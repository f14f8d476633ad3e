"""The two ways in which a request can end badly, and what is said of one that ends well.

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


class ZsbenchWarning(UserWarning):
    """Something that users should know about a result that stands all the same; the command line shows only the sentence."""


class AttackWarning(ZsbenchWarning):
    """Robust accuracy is likely too high, for the reason that the message gives."""
