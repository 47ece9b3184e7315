"""A download handler as other people write it, and the adapter to the one that fetches.

It writes one file. Whether that file is the promised one, and where it goes, is not its business:
what it wrote is copied into the part, read while it is copied, and checked like everything else.
"""

from __future__ import annotations

import hashlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import open_regular
from comfywatchman.disk.part import SUFFIX, Part, copy_into
from comfywatchman.domain.api_errors import ComfyFixerError, DownloadError
from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import (
    Interrupted,
    SourceMissing,
    SourceUnavailable,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.domain.files import Expected, Mark, Measured
from comfywatchman.download.handler import Fetched, OnProgress, OnStart, Start

ProgressCallback = Callable[[str, int, int | None], None]
"""Told the name of the file, the bytes that are there, and all bytes (``None``: nobody knows)."""


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """What became of one file."""

    filename: str
    success: bool
    save_path: Path | None = None
    """Where it is; ``None`` where it is nowhere."""
    size_downloaded: int = 0
    """Bytes that came over the network."""
    duration: float = 0.0
    """Seconds."""
    error_message: str | None = None
    verified: bool = False
    """Size, structure and, where one was promised, the hash were looked at after all bytes came."""
    error_code: str | None = None
    """An entry of ``docs/errors.md``."""
    remedy: str | None = None
    hash_sha256: str | None = None
    """Of the bytes that are there."""
    hash_promised: bool = False
    """Whether somebody had published that hash: only then the bytes are proven."""


class DownloadHandler(ABC):
    """A way to bring the bytes of some addresses: subclass this, then register it.

    `download` may be called from several threads at once.
    """

    name: str = ""
    """For messages."""

    @abstractmethod
    def supports_url(self, url: str) -> bool:
        """Say whether it is the one for *url*; nothing is asked."""

    @abstractmethod
    def download(
        self, url: str, save_path: Path, progress_callback: ProgressCallback | None = None
    ) -> DownloadResult:
        """Write all bytes of *url* to *save_path*, which is not there, in a directory that is.

        Call *progress_callback* now and then: what it raises when we are stopping has to pass.

        Raises:
            DownloadError: the bytes are not all there; ``retryable=True`` has it tried again.
            OSError: the same; it is tried again.
        """


@dataclass(frozen=True, slots=True)
class Simple:
    """Fetches with a handler of that kind; see `download.handler.DownloadHandler`."""

    handler: DownloadHandler

    def supports_url(self, url: str) -> bool:
        try:
            return bool(self.handler.supports_url(url))
        except Exception:  # noqa: BLE001 - somebody else's code: it does not want this address
            return False

    def download(
        self,
        source: Candidate,
        part: Part,
        *,
        expected: Expected,
        mark: Mark | None,
        on_start: OnStart,
        on_progress: OnProgress,
        stop: threading.Event,
    ) -> Fetched:
        """See `DownloadHandler.download` of `download.handler`; an earlier try is forgotten."""
        del mark
        host = source.host or urlsplit(source.url).scheme
        lost = part.size
        part.start_over()
        on_start(Start(host, Mark(source.url, expected.size), 0, lost))

        def told(_filename: str, downloaded: int, total: int | None) -> None:
            if stop.is_set():
                raise Interrupted(
                    f"{source.filename} was stopped.", remedy="It begins anew at the next start."
                )
            on_progress(downloaded, total if total is not None else expected.size)

        with _beside(part) as file:
            self._brought(source, file, told)
            measured = _taken(part, file, stop)
        return Fetched(measured, host, measured.size)

    def _brought(self, source: Candidate, file: Path, told: ProgressCallback) -> None:
        """Have the handler write *file*, and turn whatever goes wrong in it into our errors."""
        name = self.handler.name or type(self.handler).__name__
        try:
            result = self.handler.download(source.url, file, told)
        except WatchmanError:
            raise
        except ComfyFixerError as error:
            raise _ours(name, error) from error
        except OSError as error:
            raise SourceUnavailable(
                f"The handler {name} did not bring {source.filename}: {error}.",
                remedy="It is tried again; nothing to do.",
            ) from error
        except Exception as error:
            raise WrongAnswer(
                f"The handler {name} failed: {type(error).__name__}: {error}.",
                remedy="It is somebody else's: tell them, or take it out of download.handlers.",
            ) from error
        why = _failure(result)
        if why is not None:
            raise SourceUnavailable(
                f"The handler {name} did not bring {source.filename}: {why}.",
                remedy="It is tried again; then look at the source.",
            )


def _failure(result: object) -> str | None:
    """Return what the handler says went wrong, if anything did."""
    if not isinstance(result, DownloadResult):
        return "it gave no result"
    return None if result.success else result.error_message or "it says no more"


def _ours(name: str, error: ComfyFixerError) -> WatchmanError:
    cause = f"The handler {name}: {error.cause}"
    if error.retryable or (isinstance(error, DownloadError) and error.code == error.usual_code):
        remedy = error.remedy or "It is tried again; nothing to do."
        return SourceUnavailable(cause, remedy=remedy, retry_after=error.retry_after)
    return SourceMissing(cause, remedy=error.remedy or "Look at the source.")


@contextmanager
def _beside(part: Part) -> Iterator[Path]:
    """Yield a name beside the part that no loader lists and that is not there."""
    mark = hashlib.sha256(part.path.name.encode(errors="surrogateescape")).hexdigest()[:12]
    own = part.path.name.removesuffix(SUFFIX).rpartition(".")[0]
    file = part.path.with_name(f"{own}.{mark}{SUFFIX}")
    with suppress(FileNotFoundError):
        file.unlink()
    try:
        yield file
    finally:
        with suppress(FileNotFoundError):
            file.unlink()


def _taken(part: Part, file: Path, stop: threading.Event) -> Measured:
    """Copy what the handler wrote, and measure it meanwhile."""
    try:
        descriptor = open_regular(file)
    except WatchmanError as error:
        raise WrongAnswer(
            "The handler says that it has brought the file, and it is not there.",
            remedy="It is somebody else's: tell them, or take it out of download.handlers.",
        ) from error
    try:
        return copy_into(part, descriptor, stop)
    except OSError as error:
        raise reading_failed(error, file) from error
    finally:
        os.close(descriptor)
