"""A service's process: it runs until it is asked to stop, or refuses to run and says why."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

REFUSED = 2
"""The exit status of a process that no restart mends."""


class RefusedError(Exception):
    """What no retry mends: the process must not run like this. Its text is for the operator and holds no secret."""


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a process to its end; leaves with status 2 and a plain sentence where it is refused."""
    try:
        asyncio.run(main())
    except* RefusedError as refusals:
        for sentence in _sentences(refusals):
            print(sentence, file=sys.stderr)  # noqa: T201 - for whoever started it, whatever the log's format
        sys.exit(REFUSED)


def _sentences(group: BaseExceptionGroup[RefusedError]) -> list[str]:
    return [
        sentence
        for error in group.exceptions
        for sentence in (_sentences(error) if isinstance(error, BaseExceptionGroup) else [str(error)])
    ]
