"""What the metrics ask for at the moment of a scrape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Sources(Protocol):
    """Answers about the present, each within milliseconds.

    Called from a thread of the HTTP server. A method that raises costs its own metrics and no
    other; the failure is counted. Whoever implements it inherits from it and overrides what it
    knows. Roots are named by their settings key, never by a path; times are Unix seconds.
    """

    def ready(self) -> bool:
        """Whether the first sweep is done and the database is writable."""
        return False

    def comfyui_up(self) -> bool:
        """Whether ComfyUI answered when it was last asked."""
        return False

    def workers(self) -> Mapping[str, tuple[bool, float]]:
        """Per thread: does it live, and when did it last say so."""
        return {}

    def workflows(self) -> Mapping[str, int]:
        """Workflow files per `WorkflowState`."""
        return {}

    def references(self) -> Mapping[str, int]:
        """Model references of all workflows per `ReferenceState`."""
        return {}

    def models(self) -> Mapping[str, tuple[int, int]]:
        """Per folder name: model files, and their bytes."""
        return {}

    def watch_roots(self) -> Mapping[tuple[str, str], int]:
        """Roots per method (``events``, ``polling``) and state (``online``, ``degraded`` …)."""
        return {}

    def watched_directories(self) -> Mapping[str, int]:
        """Directories that are watched, per method."""
        return {}

    def watch_directories_expected(self) -> int:
        """Directories that should be watched."""
        return 0

    def pending_paths(self) -> int:
        """Paths that changed and did not come to rest yet."""
        return 0

    def last_sweeps(self) -> Mapping[str, float]:
        """Per root: when it was last walked to the end."""
        return {}

    def hash_backlog(self) -> tuple[int, int]:
        """Model files that wait for being measured, and their bytes."""
        return (0, 0)

    def open_breakers(self) -> Mapping[str, bool]:
        """Per host that was ever asked: whether it is left alone for a while."""
        return {}

    def downloads_in_progress(self) -> int:
        return 0

    def download_queue(self) -> int:
        """Models that wait for a transfer to begin."""
        return 0

    def download_speed(self) -> float:
        """Bytes per second of all transfers under way."""
        return 0.0

    def download_remaining(self) -> tuple[int, float]:
        """Bytes still to come of the transfers under way, and seconds until the last is done."""
        return (0, 0.0)

    def unverifiable(self) -> int:
        """Placed models that nobody publishes a hash for."""
        return 0

    def free_bytes(self) -> Mapping[str, int]:
        """Per root: bytes free on its volume."""
        return {}

    def jobs(self) -> Mapping[tuple[str, str], int]:
        """Job rows per kind and state."""
        return {}

    def choices_waiting(self) -> int:
        """Questions that only a person can answer."""
        return 0

    def notices(self) -> Mapping[str, int]:
        """Notices that wait for their receiver (``waiting``) or were given up (``dead``)."""
        return {}

    def db_bytes(self) -> Mapping[str, int]:
        """Per database file (``main``, ``wal``): its size."""
        return {}

    def timers(self) -> Mapping[str, float]:
        """Per timer: when it last did its work."""
        return {}


class NoSources(Sources):
    """Nothing runs: every gauge is zero or absent."""
