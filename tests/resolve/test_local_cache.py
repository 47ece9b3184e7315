from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import SourceUnavailable
from comfywatchman.resolve.local_cache import CacheBackend, LocalHubCache, cache_root
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.urls import Endpoints, HubFile

COMMIT = "c" * 40
OLD = "0" * 40
CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
URL = "https://huggingface.co/owner/repo/resolve/main/dir/a.safetensors"


def put(
    root: Path, path: str = "dir/a.safetensors", blob: str = SHA256, commit: str = COMMIT
) -> Path:
    """Put a file into the cache as huggingface_hub does."""
    directory = root / "models--owner--repo"
    stored = directory / "blobs" / blob
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_bytes(CONTENT)
    link = directory / "snapshots" / commit / path
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(stored, link.parent))
    (directory / "refs").mkdir(exist_ok=True)
    (directory / "refs" / "main").write_text(commit)
    return stored


def searched(root: Path, wanted: Wanted) -> list[Candidate]:
    return list(CacheBackend(LocalHubCache(root), Endpoints()).search(wanted))


def test_the_wanted_bytes_are_found_by_the_name_of_their_blob(tmp_path: Path) -> None:
    stored = put(tmp_path)

    (candidate,) = searched(tmp_path, Wanted("loras", "other.safetensors", sha256=(SHA256,)))

    assert (candidate.grade, candidate.sha256, candidate.local) == ("A", SHA256, stored)
    assert candidate.url == f"https://huggingface.co/owner/repo/resolve/{COMMIT}/dir/a.safetensors"
    assert candidate.size == len(CONTENT)


def test_the_file_at_a_workflows_address_is_found_by_its_place(tmp_path: Path) -> None:
    stored = put(tmp_path)

    (candidate,) = searched(tmp_path, Wanted("loras", "a.safetensors", (f"{URL}?download=true",)))

    assert (candidate.grade, candidate.url, candidate.local) == ("B", URL, stored)
    assert any(COMMIT in text for text in candidate.evidence)


def test_a_commit_in_the_address_is_that_commit(tmp_path: Path) -> None:
    put(tmp_path, commit=OLD)
    put(tmp_path, blob="d" * 64)

    (candidate,) = searched(
        tmp_path, Wanted("loras", "a.safetensors", (URL.replace("/main/", f"/{OLD}/"),))
    )

    assert candidate.sha256 == SHA256


def test_other_bytes_than_the_wanted_are_not_offered(tmp_path: Path) -> None:
    put(tmp_path)

    assert searched(tmp_path, Wanted("loras", "a.safetensors", (URL,), ("f" * 64,))) == []


def test_a_small_file_of_git_is_named_by_no_sha256(tmp_path: Path) -> None:
    put(tmp_path, blob="a" * 40)

    assert searched(tmp_path, Wanted("loras", "a.safetensors", (URL,))) == []


def test_a_cache_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    wanted = Wanted("loras", "a.safetensors", (URL,), (SHA256,))

    assert searched(tmp_path / "nowhere", wanted) == []


def test_a_cache_that_cannot_be_read_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")

    with pytest.raises(SourceUnavailable):
        searched(tmp_path / "file", Wanted("loras", "a.safetensors", sha256=(SHA256,)))


@pytest.mark.parametrize(
    "path", ["../../../../etc/passwd", "/etc/passwd", "dir/../../../blobs/x", "dir", ""]
)
def test_no_path_leads_out_of_the_cache(tmp_path: Path, path: str) -> None:
    put(tmp_path)

    assert LocalHubCache(tmp_path).file(HubFile("owner/repo", "main", path)) is None


def test_a_link_that_leads_out_of_the_cache_is_no_file(tmp_path: Path) -> None:
    stored = put(tmp_path)
    secret = tmp_path / ("e" * 64)
    secret.write_text("secret")
    stored.unlink()
    stored.symlink_to(secret)

    cache = LocalHubCache(tmp_path)

    assert cache.file(HubFile("owner/repo", "main", "dir/a.safetensors")) is None
    assert cache.with_sha256(SHA256) is None


@pytest.mark.parametrize("sha256", ["", "..", "../../x", "A" * 64, "z" * 64])
def test_what_is_no_hash_is_not_looked_for(tmp_path: Path, sha256: str) -> None:
    put(tmp_path)

    assert LocalHubCache(tmp_path).with_sha256(sha256) is None


@pytest.mark.parametrize("ref", ["", "main\n", "not a commit", "g" * 40])
def test_a_reference_that_is_no_commit_is_none(tmp_path: Path, ref: str) -> None:
    put(tmp_path)
    (tmp_path / "models--owner--repo" / "refs" / "main").write_text(ref)

    assert LocalHubCache(tmp_path).file(HubFile("owner/repo", "main", "dir/a.safetensors")) is None


@pytest.mark.parametrize(
    ("environ", "root"),
    [
        ({"HF_HUB_CACHE": "/a"}, "/a"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({}, "/own/.cache/huggingface/hub"),
    ],
)
def test_the_cache_is_where_the_library_keeps_it(environ: dict[str, str], root: str) -> None:
    assert cache_root(environ, Path("/own")) == Path(root)


def test_the_offer_of_the_hub_learns_of_the_copy_on_this_machine(tmp_path: Path) -> None:
    stored = put(tmp_path)
    wanted = Wanted("loras", "a.safetensors", (URL,))
    from_hub = Candidate("workflow", URL, "a.safetensors", sha256=SHA256, grade=Grade.B)

    (joined,) = Offers().joined([from_hub]).joined(searched(tmp_path, wanted))

    assert (joined.backend, joined.local) == ("workflow", stored)


def test_a_copy_of_an_older_file_does_not_replace_what_the_hub_says_now(tmp_path: Path) -> None:
    put(tmp_path)
    wanted = Wanted("loras", "a.safetensors", (URL,))
    newer = Candidate("workflow", URL, "a.safetensors", sha256="9" * 64, grade=Grade.B)

    (joined,) = Offers().joined([newer]).joined(searched(tmp_path, wanted))

    assert (joined.sha256, joined.local) == ("9" * 64, None)


def test_nothing_in_the_cache_is_changed(tmp_path: Path) -> None:
    put(tmp_path)
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}

    searched(tmp_path, Wanted("loras", "a.safetensors", (URL,), (SHA256,)))

    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before
