"""The contract of backends and handlers, as tests to inherit with pytest.

A subclass says how its backend, or its handler, is set up, and gets the tests; its name begins with
``Test``, so that pytest finds it. ``docs/python.md`` has an example of each.
"""

from __future__ import annotations

import hashlib
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path

from comfywatchman.api.brought import guarded_backend
from comfywatchman.api.downloads import DownloadManager
from comfywatchman.domain.api_errors import ComfyFixerError
from comfywatchman.domain.candidates import Candidate, Wanted
from comfywatchman.domain.errors import RateLimited, SourceUnavailable
from comfywatchman.domain.files import sha256_or_none
from comfywatchman.download.simple import DownloadHandler, DownloadResult
from comfywatchman.resolve.simple import SearchBackend, SearchResult, published

NAME = "detail.safetensors"
FOLDER = "loras"
_WANTED = Wanted(FOLDER, NAME)
_HEAD = b'{"w":{"dtype":"U8","shape":[70000],"data_offsets":[0,70000]}}'


class BackendSuite(ABC):
    """What every `SearchBackend` promises."""

    @abstractmethod
    def having(self, filename: str) -> SearchBackend:
        """Return a backend that has exactly one model, called *filename*, in the folder loras."""

    @abstractmethod
    def out_of_order(self) -> SearchBackend:
        """Return a backend whose service answers every request with an error."""

    def test_it_finds_the_model_it_has(self) -> None:
        assert [result.filename for result in self._found()] == [NAME]

    def test_it_finds_the_model_without_being_told_the_folder(self) -> None:
        assert [result.filename for result in self.having(NAME).search(NAME)] == [NAME]

    def test_results_say_who_found_them_and_what_details_can_be_asked_with(self) -> None:
        backend = self.having(NAME)

        for result in backend.search(NAME, FOLDER):
            assert isinstance(result, SearchResult)
            assert result.backend == backend.name
            assert result.model_id

    def test_a_published_hash_is_a_sha256(self) -> None:
        for result in self._found():
            assert result.hash_sha256 is None or sha256_or_none(result.hash_sha256) is not None

    def test_an_address_can_be_asked(self) -> None:
        for result in self._found():
            assert published(result).url

    def test_the_same_question_has_the_same_answer(self) -> None:
        backend = self.having(NAME)

        assert list(backend.search(NAME, FOLDER)) == list(backend.search(NAME, FOLDER))

    def test_the_daemon_takes_its_name(self) -> None:
        backend = self.having(NAME)

        assert guarded_backend(backend).name == backend.name

    def test_the_daemon_is_offered_the_model_it_has(self) -> None:
        assert [offer.filename for offer in self._offered(NAME, _WANTED)] == [NAME]

    def test_the_daemon_is_offered_nothing_when_it_has_something_else(self) -> None:
        assert self._offered("unrelated.safetensors", _WANTED) == []

    def test_the_daemon_is_not_offered_other_bytes_than_the_wanted(self) -> None:
        wanted = Wanted(FOLDER, NAME, sha256=("0" * 64,))

        assert [offer for offer in self._offered(NAME, wanted) if offer.sha256 != "0" * 64] == []

    def test_an_outage_is_not_an_empty_answer(self) -> None:
        backend = guarded_backend(self.out_of_order())
        try:
            answer = list(backend.search(_WANTED))
        except (SourceUnavailable, RateLimited):
            return
        raise AssertionError(f"an outage should raise APISearchError or OSError; came {answer}")

    def _found(self) -> list[SearchResult]:
        return list(self.having(NAME).search(NAME, FOLDER))

    def _offered(self, filename: str, wanted: Wanted) -> list[Candidate]:
        return list(guarded_backend(self.having(filename)).search(wanted))


class HandlerSuite(ABC):
    """What every `DownloadHandler` promises."""

    content = len(_HEAD).to_bytes(8, "little") + _HEAD + bytes(range(250)) * 280
    """What `having` is asked for: a model file, as small as one can be."""

    @abstractmethod
    def having(self, content: bytes) -> tuple[DownloadHandler, str]:
        """Return a handler, and an address under which it has *content*."""

    @abstractmethod
    def out_of_order(self) -> tuple[DownloadHandler, str]:
        """Return a handler, and an address of its own that cannot be fetched."""

    def test_it_supports_its_own_addresses_and_not_those_of_others(self) -> None:
        handler, url = self.having(self.content)

        assert handler.supports_url(url)
        assert not handler.supports_url("nobody-knows-this://x")

    def test_it_writes_all_bytes(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "model.safetensors"
            handler, url = self.having(self.content)
            result = handler.download(url, file)

            assert isinstance(result, DownloadResult)
            assert result.success
            assert file.read_bytes() == self.content

    def test_it_tells_how_far_it_is(self) -> None:
        told: list[tuple[int, int | None]] = []
        with tempfile.TemporaryDirectory() as directory:
            handler, url = self.having(self.content)
            handler.download(
                url, Path(directory) / "model.safetensors", lambda _name, *news: told.append(news)
            )

        assert told, "the progress callback was never called"
        assert told[-1][0] == len(self.content)
        assert [done for done, _ in told] == sorted(done for done, _ in told)

    def test_it_can_be_stopped(self) -> None:
        class Stop(Exception): ...

        def stop(*_: object) -> None:
            raise Stop

        with tempfile.TemporaryDirectory() as directory:
            handler, url = self.having(self.content)
            try:
                handler.download(url, Path(directory) / "model.safetensors", stop)
            except Stop:
                return
        raise AssertionError("what the progress callback raises has to pass")

    def test_a_failure_is_told(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            handler, url = self.out_of_order()
            try:
                result = handler.download(url, Path(directory) / "model.safetensors")
            except (ComfyFixerError, OSError):
                return
        assert not result.success
        assert result.error_message

    def test_the_daemon_fetches_and_verifies_with_it(self) -> None:
        wanted = hashlib.sha256(self.content).hexdigest()
        with tempfile.TemporaryDirectory() as directory:
            handler, url = self.having(self.content)
            result = _managed(handler, directory, url, wanted)

            assert result.success, result.error_message
            assert (Path(directory) / "model.safetensors").read_bytes() == self.content
            assert _files(directory) == ["model.safetensors"]

    def test_the_daemon_does_not_place_other_bytes_than_promised(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            handler, url = self.having(self.content)
            result = _managed(handler, directory, url, "0" * 64)

            assert not result.success
            assert not (Path(directory) / "model.safetensors").exists()


def _files(directory: str) -> list[str]:
    return sorted(path.name for path in Path(directory).iterdir() if path.name != ".state")


def _managed(handler: DownloadHandler, directory: str, url: str, sha256: str) -> DownloadResult:
    """Fetch as the daemon does, with nothing of this machine's settings."""
    keys = {"state.directory": f"{directory}/.state", "download.min_free_bytes": 0}
    downloads = DownloadManager({**keys, "offline": True, "download.max_retries": 0})
    downloads.add_handler(handler)
    return downloads.download_model(url, f"{directory}/model.safetensors", expected_hash=sha256)
