"""The backends that search keep the promises of the known places."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from comfywatchman.domain.candidates import Wanted
from comfywatchman.resolve.backend import SearchBackend
from comfywatchman.resolve.catalog import Catalog
from comfywatchman.resolve.github import GitHub, GitHubBackend, KnownRelease
from comfywatchman.resolve.local_cache import CacheBackend, LocalHubCache
from comfywatchman.resolve.room import BACKENDS, backends_of, publisher_of
from comfywatchman.resolve.urls import Endpoints
from comfywatchman.resolve.web import Web
from tests.contract.backend_suite import FOLDER, NAME, BackendSuite
from tests.resolve.civitai_records import a_file, a_model, a_page, a_version
from tests.resolve.plain_ask import Replies, scripted

CONTENT = b"the bytes of the model"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HUB = f"https://huggingface.co/owner/repo/resolve/main/{NAME}"


class Searching(BackendSuite):
    """A backend of the room, by its name, with answers for its questions."""

    name: str

    def answers(self, filename: str) -> Mapping[str, object]:
        raise NotImplementedError

    def made(self, ask: Replies) -> SearchBackend:
        endpoints = Endpoints()
        cache = LocalHubCache(Path("/nowhere"))
        room = backends_of(ask, publisher_of(ask, endpoints), endpoints, Catalog([]), cache)
        return room[self.name]

    def having(self, filename: str) -> SearchBackend:
        return self.made(Replies(self.answers(filename)))

    def out_of_order(self) -> SearchBackend:
        return self.made(Replies({path: (500, {}) for path in self.answers(NAME)}))


class TestCivitai(Searching):
    name = "civitai"

    def answers(self, filename: str) -> Mapping[str, object]:
        file = a_file(filename, 5, sha256=SHA256)
        by_hash = {} if filename != NAME else {
            f"/api/v1/model-versions/by-hash/{SHA256}": a_version(34, file)
        }  # fmt: skip
        page = a_page(a_model(7, "Some detail", a_version(34, file)))
        return {"/api/v1/models": page} | by_hash


class TestHuggingFace(Searching):
    name = "huggingface"

    def answers(self, filename: str) -> Mapping[str, object]:
        path = f"loras/{filename}"
        leaf = {"type": "file", "path": path, "size": 7, "lfs": {"oid": SHA256, "size": 7}}
        repository = {"id": "Comfy-Org/repo", "siblings": [{"rfilename": path}]}
        query = "sort=downloads&full=true&limit=100"
        return {
            "/api/models": [],
            f"/api/models?author=Comfy-Org&{query}": [repository],
            "/api/models/Comfy-Org/repo/tree/main/loras": [leaf],
        }


class TestGitHub(Searching):
    name = "github"

    def answers(self, filename: str) -> Mapping[str, object]:
        asset = {"name": filename, "size": 7, "digest": f"sha256:{SHA256}"}
        return {"/repos/o/r/releases/tags/v1": {"tag_name": "v1", "assets": [asset]}}

    def made(self, ask: Replies) -> SearchBackend:
        github = GitHub(ask, Endpoints(), Web(ask, Endpoints()))
        return GitHubBackend(github, Endpoints(), (KnownRelease("o/r", "v1", FOLDER),))


class TestModelScope(Searching):
    name = "modelscope"

    def answers(self, filename: str) -> Mapping[str, object]:
        row = {"Path": filename, "Type": "blob", "Size": 7, "Sha256": SHA256}
        return {"/api/v1/models/owner/repo/repo/files": {"Data": {"Files": [row]}}}

    def wanted(self, *sha256: str) -> Wanted:
        return Wanted(FOLDER, NAME, (HUB,), sha256)


class TestHubCache(BackendSuite):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.root = tmp_path

    def having(self, filename: str) -> SearchBackend:
        directory = self.root / "models--owner--repo"
        blob = directory / "blobs" / SHA256
        link = directory / "snapshots" / ("c" * 40) / filename
        for path in (blob, link, directory / "refs" / "main"):
            path.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(CONTENT)
        (directory / "refs" / "main").write_text("c" * 40)
        link.symlink_to(os.path.relpath(blob, link.parent))
        return CacheBackend(LocalHubCache(self.root), Endpoints())

    def out_of_order(self) -> SearchBackend:
        refs = self.root / "models--owner--repo" / "refs" / "main"
        refs.parent.mkdir(parents=True)
        refs.symlink_to(refs)  # reading it is an error of the disk
        return CacheBackend(LocalHubCache(self.root), Endpoints())

    def wanted(self, *sha256: str) -> Wanted:
        return Wanted(FOLDER, NAME, (HUB,), sha256)


def test_every_backend_of_the_room_is_built_and_keeps_the_promises() -> None:
    ask, endpoints = scripted(500), Endpoints()
    cache = LocalHubCache(Path("/nowhere"))

    room = backends_of(ask, publisher_of(ask, endpoints), endpoints, Catalog([]), cache)

    assert tuple(room) == BACKENDS
    assert all(backend.name == name for name, backend in room.items())
