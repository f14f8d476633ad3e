"""How a script of this folder ends."""

from __future__ import annotations

import sys
from collections.abc import Callable

from robustbench_zs import RequestError, UnfinishedError


def exit_code(command: Callable[[], int]) -> int:
    """That of the command; 2 and a sentence if the request was wrong, 3 if it could not be finished."""
    try:
        return command()
    except (RequestError, UnfinishedError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2 if isinstance(error, RequestError) else 3
