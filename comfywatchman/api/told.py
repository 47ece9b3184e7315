"""Errors of the rooms, told as those of the API; and one piece of work on a state at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from comfywatchman.domain.api_errors import ComfyFixerError, api_error
from comfywatchman.domain.errors import WatchmanError

ONE_AT_A_TIME = threading.RLock()
"""Held by whoever owns a state directory: its lock is for processes, and would refuse the second
thread of this one instead of having it wait."""


@contextmanager
def told(otherwise: type[ComfyFixerError] = ComfyFixerError) -> Iterator[None]:
    """Raise what goes wrong inside as an error of the API; *otherwise* where it is of no kind."""
    try:
        yield
    except WatchmanError as error:
        raise api_error(error, otherwise) from error
