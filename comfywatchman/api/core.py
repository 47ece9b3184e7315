"""The whole job for a program: analyze, resolve, download, place, report."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.api.converting import absolute
from comfywatchman.api.files import ensure_directory
from comfywatchman.api.settings import settings_of
from comfywatchman.api.told import ONE_AT_A_TIME, told
from comfywatchman.domain.api_errors import ConfigurationError

if TYPE_CHECKING:
    from comfywatchman.api.brought import Backend, Handler
    from comfywatchman.api.counting import Counting
    from comfywatchman.api.downloads import Wish
    from comfywatchman.api.placing import Watch
    from comfywatchman.api.settings import Config
    from comfywatchman.api.values import AnalysisResult, WorkflowRun
    from comfywatchman.daemon.installation import Place
    from comfywatchman.domain.messages import Event
    from comfywatchman.download.simple import DownloadResult, ProgressCallback

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class ComfyFixerCore:
    """Everything at once, and the parts by name. Any thread may use it; `cleanup` when done.

    >>> with ComfyFixerCore() as core:
    ...     run = core.run(["workflow.json"])
    """

    def __init__(self, config: Config = None) -> None:
        """Read the settings; nothing else happens.

        Args:
            config: a settings file, keys over the usual file, settings, or nothing.

        Raises:
            ConfigurationError: the settings cannot be used.
        """
        from comfywatchman.api.downloads import DownloadManager
        from comfywatchman.api.history import StateManager
        from comfywatchman.api.inventory import ModelInventory
        from comfywatchman.api.scanner import WorkflowScanner
        from comfywatchman.api.search import ModelSearch

        self.settings = settings_of(config)
        self.scanner = WorkflowScanner(self.settings)
        self.inventory = ModelInventory(self.settings)
        self.search = ModelSearch(self.settings)
        self.downloads = DownloadManager(self.settings)
        self.state = StateManager(self.settings)
        self._backends: list[Backend] = []
        self._handlers: list[Handler] = []

    def __enter__(self) -> ComfyFixerCore:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def add_backend(self, backend: Backend) -> None:
        """Ask *backend* as well from now on, in a run and in `search`."""
        self.search.add_backend(backend)
        self._backends.append(backend)

    def add_handler(self, handler: Handler) -> None:
        """Fetch with *handler* from now on what it supports, before anybody else."""
        self.downloads.add_handler(handler)
        self._handlers.insert(0, handler)

    def run(
        self,
        workflow_paths: Paths | None = None,
        output_dir: str | os.PathLike[str] | None = None,
        search_backends: Sequence[str | Backend] | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> WorkflowRun:
        """Analyze workflows, fetch what they lack, verify it, and put it where ComfyUI looks.

        Args:
            workflow_paths: files and directories; the workflow directories by default.
            output_dir: where a report of each workflow is written, as JSON.
            search_backends: whom to ask, in order, by name or as a backend; those of the
                settings by default.
            progress_callback: called on the threads that fetch, one call at a time.

        Raises:
            ConfigurationError: no ComfyUI, wrong settings, or a daemon owns the state
                (``state-locked``): it does this work for what lies in its directories.
        """
        from comfywatchman.api.analysis import result_of, write_reports
        from comfywatchman.api.brought import asking, guarded_backend, others_of
        from comfywatchman.api.counting import Counting
        from comfywatchman.api.placing import Watch
        from comfywatchman.daemon.once import fix_once
        from comfywatchman.download.others import guarded

        registered = [guarded_backend(each) for each in self._backends]
        settings, brought = asking(self.settings, registered, search_backends)
        others = others_of(brought, [guarded(each) for each in self._handlers])
        started, counting = datetime.now(UTC), Counting()
        observe = _Calls(counting, Watch(progress_callback))
        with told(ConfigurationError), ONE_AT_A_TIME:
            place = self._place()
            paths = self._paths(workflow_paths, place)
            analyses = fix_once(settings, paths, observe, others)
            found = result_of(settings, place, analyses, with_candidates=True)
        observe.raise_what_failed()
        if output_dir is not None:
            write_reports(found, ensure_directory(absolute(Path(output_dir))))
        run = counting.run(uuid.uuid4().hex, analyses, found)
        return replace(run, started_at=started, finished_at=datetime.now(UTC))

    def analyze_workflows(self, paths: Paths) -> AnalysisResult:
        """Return what workflows need, have and lack: no network, nothing is written.

        Raises:
            ConfigurationError: there is no ComfyUI to compare with.
        """
        from comfywatchman.api.analysis import result_of
        from comfywatchman.daemon.survey import survey

        with told(ConfigurationError):
            place, analyses = survey(self.settings, _listed(paths))
            return result_of(self.settings, place, analyses)

    def download_models(
        self,
        missing_models: Iterable[Wish],
        output_dir: str | os.PathLike[str] | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> list[DownloadResult]:
        """Fetch models to where ComfyUI looks, or to ``output_dir/FOLDER/NAME``.

        Raises:
            ConfigurationError: no ComfyUI, or a daemon owns the state (``state-locked``).
        """
        models = list(missing_models)
        if output_dir is not None:
            concurrency = self.settings.download.concurrency
            return self.downloads.download_models(
                models, output_dir, concurrency, progress_callback
            )
        with told(ConfigurationError), ONE_AT_A_TIME:
            return self.downloads.fetched(models, self._place(), progress_callback, self.settings)

    def cleanup(self) -> None:
        """End the process that reads workflows; what was fetched in part is gone on with later."""
        self.scanner.close()

    # -- inside

    def _place(self) -> Place:
        from comfywatchman.daemon.installation import locate

        return locate(self.settings, os.environ)

    def _paths(self, paths: Paths | None, place: Place) -> list[str]:
        if paths is not None:
            return _listed(paths)
        return [str(directory) for directory in place.workflow_dirs if directory.is_dir()]


def _listed(paths: Paths) -> list[str]:
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found = [os.fspath(path) for path in given]
    if "-" in found:
        raise ConfigurationError(
            "Standard input is for commands.", code="file-unreadable", remedy="Give a file."
        )
    return found


class _Calls:
    """Hands events on, one at a time, from the threads that work.

    What a callback raises must not end a thread of ours: the first is kept, and raised when the
    work is over.
    """

    def __init__(self, counting: Counting, watch: Watch) -> None:
        self._counting, self._watch = counting, watch
        self._lock = threading.Lock()
        self._failed: Exception | None = None

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._counting(event)
            if self._failed is not None:
                return
            try:
                self._watch(event)
            except Exception as error:  # noqa: BLE001 - the caller's own, and told to him
                self._failed = error

    def raise_what_failed(self) -> None:
        if self._failed is not None:
            raise self._failed
