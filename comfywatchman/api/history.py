"""What was downloaded, by the daemon and by programs that say so."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from comfywatchman.api.files import save_json_file
from comfywatchman.api.settings import Config, settings_of
from comfywatchman.api.told import told
from comfywatchman.domain.api_errors import ConfigurationError

if TYPE_CHECKING:
    from comfywatchman.state.history import Download, History


class StateManager:
    """The history in the state directory. Any thread may use it, also beside a running daemon."""

    def __init__(self, config: Config = None) -> None:
        """Prepare; nothing is opened yet.

        Raises:
            ConfigurationError: the settings cannot be used.
        """
        self.settings = settings_of(config)

    def record_download(
        self,
        filename: str,
        source: str,
        source_id: str | int | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        hash_sha256: str | None = None,
    ) -> None:
        """Note that a program has brought *filename* from *source* (``civitai``, a host, …).

        Raises:
            ComfyFixerError: the state directory cannot be written.
        """
        from comfywatchman.state.history import Download

        noted = Download(
            filename=filename,
            source=source,
            source_id=None if source_id is None else str(source_id),
            at=time.time(),
            path=None if path is None else os.fspath(path),
            sha256=hash_sha256,
        )
        with told(ConfigurationError):
            self._history().note(noted)

    def is_downloaded(self, filename: str) -> bool:
        """Say whether *filename*, with or without its folder before it, is in the history."""
        return any(filename in _names(one) for one in self._downloads())

    def get_download_history(self) -> list[dict[str, Any]]:
        """Return what was downloaded since the history was last cleared, oldest first.

        Each has ``filename``, ``source``, ``source_id``, ``timestamp``, and, where they are known,
        ``folder``, ``path``, ``size_bytes``, ``hash_sha256``.
        """
        return [_plain(one) for one in self._downloads()]

    def clear_history(self) -> None:
        """Forget the history. No model, and nothing that the daemon knows, is touched."""
        with told(ConfigurationError):
            self._history().clear()

    def export_json(self, path: str | os.PathLike[str]) -> Path:
        """Write ``{"downloads": [...]}`` to *path*; return it."""
        return save_json_file(path, {"downloads": self.get_download_history()})

    def _history(self) -> History:
        from comfywatchman.state.history import History

        return History(self.settings.state.directory)

    def _downloads(self) -> list[Download]:
        from comfywatchman.state import store
        from comfywatchman.state.history import placed_since

        with told(ConfigurationError):
            noted, cleared = self._history().read()
            reader = store.open_reader(self.settings.state.directory)
            if reader is not None:
                try:
                    noted += reader.read(lambda c: placed_since(c, cleared))
                finally:
                    reader.close()
        return sorted(noted, key=lambda one: one.at)


def _names(download: Download) -> set[str]:
    base = download.filename.rpartition("/")[2]
    names = {download.filename, base}
    return names | {f"{download.folder}/{name}" for name in names if download.folder}


def _plain(download: Download) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(download)
    found["timestamp"] = datetime.fromtimestamp(found.pop("at"), UTC).isoformat()
    found["size_bytes"], found["hash_sha256"] = found.pop("size"), found.pop("sha256")
    return found
