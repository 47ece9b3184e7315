"""The examples of the documents keep the contract of other people's backends and handlers."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from comfywatchman import (
    APISearchError,
    DownloadError,
    DownloadHandler,
    DownloadManager,
    ModelSearch,
    SearchBackend,
    SearchResult,
)
from comfywatchman.api.suites import BackendSuite, HandlerSuite
from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.cli.shell import Shell
from tests.stories.daemon import KNOWN_PLACES, Tree, running
from tests.stories.made import Want, drop

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestTheExampleBackend(BackendSuite):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.index = tmp_path / "index.json"

    def having(self, filename: str) -> SearchBackend:
        row = {"id": "7", "title": "A model", "file": filename, "folder": "loras", "size": 7}
        row |= {"url": f"https://models.example/{filename}", "sha256": "a" * 64}
        self.index.write_text(json.dumps([row]))
        return self._of(self.index)

    def out_of_order(self) -> SearchBackend:
        return self._of(self.index.with_name("nowhere.json"))

    def _of(self, index: Path) -> SearchBackend:
        backend: SearchBackend = example("shelf_backend").backend()
        backend.index = index.as_uri()  # type: ignore[attr-defined]  # of the example
        return backend


class TestTheExampleHandler(HandlerSuite):
    @pytest.fixture(autouse=True)
    def place(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory() as directory:
            self.root = Path(directory)
            yield

    def having(self, content: bytes) -> tuple[DownloadHandler, str]:
        (self.root / "x.bin").write_bytes(content)
        return self._made(), "share://x.bin"

    def out_of_order(self) -> tuple[DownloadHandler, str]:
        return self._made(), "share://gone.bin"

    def _made(self) -> DownloadHandler:
        handler: DownloadHandler = example("share_handler").handler()
        handler.root = self.root  # type: ignore[attr-defined]  # of the example
        return handler


# -- used by the daemon's own workers


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


def written(path: Path, example_name: str, old: str, new: str) -> Path:
    text = (EXAMPLES / f"{example_name}.py").read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize("daemon", [False, True], ids=["fix", "run"])
def test_a_backend_and_a_handler_of_files_bring_what_only_they_know(
    tmp_path: Path, hub: Hub, daemon: bool
) -> None:
    share = tmp_path / "share"
    share.mkdir()
    content = weights("only.safetensors", 9000)
    (share / "only.safetensors").write_bytes(content)
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts))
    index = tmp_path / "index.json"
    import hashlib

    row = {"id": "7", "title": "A model", "file": "only.safetensors", "folder": "loras"}
    row |= {"url": "share://only.safetensors", "sha256": hashlib.sha256(content).hexdigest()}
    index.write_text(json.dumps([{**row, "size": len(content)}]))
    backend = written(
        tmp_path / "shelf.py", "shelf_backend", "https://models.example/index.json", index.as_uri()
    )
    handler = written(tmp_path / "share.py", "share_handler", "/mnt/models", str(share))
    tree.asking = KNOWN_PLACES.replace('"catalog"', f'"catalog", "{backend}"')
    tree.write_settings(handlers=[str(handler)])
    if daemon:
        with running(tree) as watchman:
            watchman.until("daemon.ready")
            drop(tree.workflows / "w.json", Want("only.safetensors"))
            line = watchman.until("model.placed")
        assert line["source"] == "shelf"
    else:
        told = Shell(tree)("fix", drop(tmp_path / "w.json", Want("only.safetensors")), "--json")
        assert told.status == 0, told.out + told.err

    assert (tree.models / "loras/only.safetensors").read_bytes() == content


def test_packages_bring_them_by_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub
) -> None:
    site = tmp_path / "site"
    info = site / "shelf_package-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf-package\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[comfywatchman.backends]\nshelf = shelf_package_backend:backend\n"
        "[comfywatchman.handlers]\nshare = shelf_package_handler:handler\n"
    )
    content = weights("x.safetensors", 9000)
    (tmp_path / "x.safetensors").write_bytes(content)
    index = tmp_path / "index.json"
    index.write_text("[]")
    written(
        site / "shelf_package_backend.py",
        *("shelf_backend", "https://models.example/index.json", index.as_uri()),
    )
    written(site / "shelf_package_handler.py", "share_handler", "/mnt/models", str(tmp_path))
    monkeypatch.syspath_prepend(str(site))
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts))
    tree.asking = KNOWN_PLACES.replace('"catalog"', '"catalog", "shelf"')
    tree.write_settings()

    assert ModelSearch(tree.config).search("nothing.safetensors") == []
    save = tmp_path / "out.safetensors"
    result = DownloadManager(tree.config).download_model("share://x.safetensors", save)
    assert result.success, result.error_message
    assert save.read_bytes() == content


# -- what goes wrong in them ends nothing else


class Broken(SearchBackend):
    name = "broken"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def search(self, query: str, model_type: str | None = None) -> list[SearchResult]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyError("x"), "wrong-answer"),
        (OSError("no route"), "source-unavailable"),
        (APISearchError("down"), "source-unavailable"),
        (APISearchError("slow down", code="rate-limited", retry_after=3), "rate-limited"),
        (APISearchError("nonsense", code="wrong-answer"), "wrong-answer"),
    ],
)
def test_what_a_backend_raises_is_told_and_the_others_are_asked(
    tmp_path: Path, hub: Hub, error: Exception, code: str
) -> None:
    from comfywatchman.api.brought import guarded_backend
    from comfywatchman.domain.candidates import Wanted
    from comfywatchman.domain.errors import WatchmanError

    with pytest.raises(WatchmanError) as caught:
        guarded_backend(Broken(error)).search(Wanted("loras", "a.safetensors"))

    assert caught.value.code == code


class Lies(DownloadHandler):
    name = "lies"

    def __init__(self, end: object) -> None:
        self.end = end

    def supports_url(self, url: str) -> bool:
        return url.startswith("lies://")

    def download(self, url: str, save_path: Path, progress_callback: object = None) -> None:  # type: ignore[override]  # that is the lie
        if isinstance(self.end, Exception):
            raise self.end
        return self.end  # type: ignore[return-value]  # as above


@pytest.mark.parametrize("end", [None, KeyError("x"), DownloadError("gone"), OSError("cut")])
def test_a_handler_that_fails_or_lies_places_nothing(tmp_path: Path, hub: Hub, end: object) -> None:
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts))
    tree.write_settings(max_retries=0)
    downloads = DownloadManager(tree.config)
    downloads.add_handler(Lies(end))
    result = downloads.download_model("lies://x.bin", tmp_path / "out/x.bin")

    assert not result.success
    assert result.error_message
    assert [path for path in (tmp_path / "out").iterdir() if path.name == "x.bin"] == []
