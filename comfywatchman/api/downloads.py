"""Fetching models with the verified downloader of the daemon."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from comfywatchman.api.brought import guarded_handler, others_of
from comfywatchman.api.converting import (
    HERE,
    absolute,
    candidate_of,
    failed,
    folder_of,
    wanted_of,
)
from comfywatchman.api.files import ensure_directory
from comfywatchman.api.settings import settings_of, with_keys
from comfywatchman.api.told import told
from comfywatchman.api.values import ModelReference
from comfywatchman.domain.api_errors import ConfigurationError, DownloadError, ValidationError
from comfywatchman.domain.errors import Trouble, UrlRefused, WatchmanError
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.download.simple import DownloadResult, ProgressCallback
from comfywatchman.resolve.simple import SearchResult

if TYPE_CHECKING:
    from comfywatchman.api.brought import Handler
    from comfywatchman.api.placing import Watch
    from comfywatchman.api.settings import Config
    from comfywatchman.config.settings import Settings
    from comfywatchman.daemon.installation import Place
    from comfywatchman.daemon.lookup import Lookup
    from comfywatchman.daemon.others import Others
    from comfywatchman.download.handler import DownloadHandler

Wish = ModelReference | SearchResult
"""A model to be fetched."""
Planned = FetchModel | DownloadResult
"""What is to be fetched, or why nothing can be."""


class DownloadManager:
    """Fetches, verifies and places files. Any thread may use it; see `asyncio.to_thread`.

    What fails is told in the result; only a call that makes no sense raises. A file that is there
    already is never written over.
    """

    def __init__(self, config: Config = None) -> None:
        """Prepare; nothing is asked yet.

        Raises:
            ConfigurationError: the settings cannot be used.
        """
        self.settings = settings_of(config)
        self._handlers: tuple[DownloadHandler, ...] = ()

    def add_handler(self, handler: Handler) -> None:
        """Fetch with *handler* from now on what it supports, before anybody else."""
        self._handlers = (guarded_handler(handler), *self._handlers)

    def download_model(
        self,
        url: str,
        save_path: str | os.PathLike[str],
        progress_callback: ProgressCallback | None = None,
        expected_hash: str | None = None,
    ) -> DownloadResult:
        """Fetch *url* to *save_path*, or into it where it is a directory.

        Args:
            url: an address, a page of Civitai, ``hf://owner/repo/path``, ``urn:air:…``.
            save_path: its name there, and no other file's.
            progress_callback: called on this thread; what it raises ends the download.
            expected_hash: SHA-256 that the bytes must have.

        Raises:
            ValidationError: *expected_hash* is none.
            ConfigurationError: the settings cannot be used.
        """
        from comfywatchman.api.placing import one_directory
        from comfywatchman.daemon.ordering import Order, sourced

        file = absolute(Path(save_path))
        into = file.is_dir()
        directory = ensure_directory(file if into else file.parent)
        name = None if into else file.name
        order = Order(url, None, name or self._name_of(url), _sha256(expected_hash))
        try:
            job, _ = sourced(self.settings, order, self._others())
        except WatchmanError as error:
            return _failed(name or url, error.trouble())
        job = replace(job, folder=HERE, name=PurePosixPath(job.name).name)
        with _scratch() as state:
            place = one_directory(directory, state)
            return self._fetched([job], place, progress_callback, stock=False)[0]

    def download_models(
        self,
        models: Iterable[Wish],
        output_dir: str | os.PathLike[str],
        concurrency: int = 3,
        progress_callback: ProgressCallback | None = None,
    ) -> list[DownloadResult]:
        """Fetch *models* to ``output_dir/FOLDER/NAME``, as ComfyUI's ``models`` is laid out.

        Results of a search are fetched from where they are; for a reference of a workflow the
        backends are asked first. A model whose folder nobody knows goes into *output_dir* itself.
        The results have the order of *models*.
        """
        from comfywatchman.api.placing import models_directory

        directory = ensure_directory(absolute(Path(output_dir)))
        with _scratch() as state:
            place = models_directory(directory, state)
            at_once = {"download.concurrency": max(1, min(32, concurrency))}
            settings = with_keys(self.settings, at_once)
            return self.fetched(list(models), place, progress_callback, settings)

    def generate_script(self, missing_models: Iterable[Wish], template: str | None = None) -> str:
        """Return a script that fetches *missing_models*, without a secret in it.

        *template* is ``sh`` (the default), ``powershell`` or ``aria2``.

        Raises:
            ValidationError: another template.
            ConfigurationError: there is no ComfyUI whose folders it could be for.
        """
        from comfywatchman.api.scripts import script

        return script(self, list(missing_models), template or "sh")

    def verify_download(
        self, path: str | os.PathLike[str], expected_hash: str | None = None
    ) -> bool:
        """Say whether the file at *path* is whole and, with *expected_hash*, has those bytes.

        Raises:
            ValidationError: *expected_hash* is none.
            DownloadError: the file cannot be read.
        """
        from comfywatchman.disk.files import measure
        from comfywatchman.inventory import examine_model

        file, wanted = absolute(Path(path)), _sha256(expected_hash)
        if not file.is_file():
            return False
        with told(DownloadError):
            seen = examine_model(file)
            if not seen.whole or seen.trouble is not None:
                return False
            return wanted is None or measure(file).sha256 == wanted

    # -- for the other classes of the API

    def planned(self, models: Sequence[Wish], place: Place, settings: Settings) -> list[Planned]:
        """Ask the hubs; return for each model what is to be fetched, or why nothing can be."""
        from comfywatchman.daemon.lookup import lookup

        with (
            told(ConfigurationError),
            lookup(settings, os.environ, others=self._others()) as looking,
        ):
            jobs: list[Planned] = []
            for model in models:
                try:
                    jobs.append(self._planned(model, place, looking))
                except WatchmanError as error:
                    jobs.append(_failed(model.filename, error.trouble()))
            return jobs

    def fetched(
        self,
        models: Sequence[Wish],
        place: Place,
        progress_callback: ProgressCallback | None,
        settings: Settings,
    ) -> list[DownloadResult]:
        """Plan and fetch *models*; a result each, in their order."""
        plans = self.planned(models, place, settings)
        jobs = [plan for plan in plans if isinstance(plan, FetchModel)]
        done = iter(self._fetched(jobs, place, progress_callback, settings=settings))
        return [plan if isinstance(plan, DownloadResult) else next(done) for plan in plans]

    # -- inside

    def _others(self) -> Others:
        return others_of({}, self._handlers)

    def _name_of(self, url: str) -> str | None:
        """Return what an address of somebody's handler seems to call its file."""
        if any(handler.supports_url(url) for handler in self._handlers):
            return PurePosixPath(url.partition("?")[0]).name or None
        return None

    def _planned(self, model: Wish, place: Place, looking: Lookup) -> Planned:
        if isinstance(model, SearchResult):
            return self._from_result(model, looking)
        wanted = wanted_of(model)
        folder = wanted.folder or HERE
        resolution = looking.chosen(wanted, looking.offers(wanted))
        if resolution.chosen:
            return FetchModel(folder, wanted.name, resolution.chosen)
        why = resolution.why
        assert why is not None  # noqa: S101 - where nothing is chosen, it says why
        return _failed(model.filename, why)

    def _from_result(self, result: SearchResult, looking: Lookup) -> FetchModel:
        url = result.download_url
        if not any(handler.supports_url(url) for handler in self._handlers):
            try:
                url = looking.endpoints.canonical(url)
            except UrlRefused:
                if url.lower().startswith(("http://", "https://")):
                    raise
        folder = folder_of(result.model_type) or HERE
        return FetchModel(folder, result.filename, (candidate_of(result, url),), chosen=False)

    def _fetched(
        self,
        jobs: Sequence[FetchModel],
        place: Place,
        progress_callback: ProgressCallback | None,
        *,
        stock: bool = True,
        settings: Settings | None = None,
    ) -> list[DownloadResult]:
        from comfywatchman.api.placing import Watch
        from comfywatchman.daemon.bringing import bring

        if not jobs:
            return []
        watch = Watch(progress_callback)
        with told(ConfigurationError):
            ends = bring(
                settings or self.settings,
                place,
                jobs,
                watch,
                role="api",
                stock=stock,
                others=self._others(),
            )
        return [_result(job, ends, watch) for job in jobs]


@contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a state directory for one call; what is fetched lies elsewhere."""
    with tempfile.TemporaryDirectory(prefix="comfywatchman-") as directory:
        yield Path(directory)


def _sha256(text: str | None) -> str | None:
    from comfywatchman.resolve.hashes import hash_of

    if text is None:
        return None
    with told(ValidationError):
        return hash_of(text.strip().removeprefix("sha256:"), "SHA256").digits


def _failed(filename: str, why: Trouble) -> DownloadResult:
    return failed(filename, why.code, why.cause, why.remedy)


def _result(job: FetchModel, ends: Mapping[str, Trouble | None], watch: Watch) -> DownloadResult:
    why = ends.get(job.key)
    placed = watch.placed.get(job.key)
    if why is not None or placed is None:
        otherwise = Trouble("interrupted", f"{job.key} was not fetched.", "Call it again.")
        return _failed(job.name, why or otherwise)
    verified = watch.verified.get(job.key)
    return DownloadResult(
        filename=job.name,
        success=True,
        save_path=placed.path,
        size_downloaded=0 if verified is None else verified.received,
        duration=0.0 if verified is None else verified.duration_seconds,
        verified=True,
        hash_sha256=placed.measured.sha256,
        hash_promised=placed.promised,
    )
