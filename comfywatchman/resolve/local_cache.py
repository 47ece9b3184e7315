"""The cache that huggingface_hub keeps on this machine: files that need not be fetched.

Its layout is ``models--OWNER--NAME/{blobs/SHA256, refs/REVISION, snapshots/COMMIT/PATH}``; a file
of a snapshot is a link to a blob, and a blob of 64 hex digits is named by its SHA-256. Nothing in
the cache is changed. Whoever uses a file measures it first: a name is no proof.

Source: huggingface_hub 2.4.0.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import SourceUnavailable, UrlRefused
from comfywatchman.domain.files import sha256_or_none
from comfywatchman.resolve.judging import Findings
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.urls import Endpoints, HubFile

_COMMIT = re.compile(r"[0-9a-f]{40}")
_MOST_REPOSITORIES = 2000
_MOST_FILES = 20_000
"""Entries of one snapshot that are looked at."""


def cache_root(environ: Mapping[str, str], home: Path) -> Path:
    """Return where huggingface_hub keeps its files, by the variables that it reads."""
    if environ.get("HF_HUB_CACHE"):
        return Path(environ["HF_HUB_CACHE"]).expanduser()
    if environ.get("HF_HOME"):
        return Path(environ["HF_HOME"]).expanduser() / "hub"
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else home / ".cache") / "huggingface" / "hub"


@dataclass(frozen=True, slots=True)
class Cached:
    """A file of the cache."""

    file: HubFile
    """Where it is from; the revision is the commit."""
    path: Path
    """The blob itself, no link."""
    size: int
    sha256: str
    """The name of the blob: what the hub published when it was fetched."""


class LocalHubCache:
    """Looks things up in one cache; a cache that is not there has nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def with_sha256(self, sha256: str) -> Cached | None:
        """Return a file with these bytes, by the name of its blob.

        Raises:
            SourceUnavailable: the cache cannot be read.
        """
        if sha256_or_none(sha256) != sha256:
            return None
        for directory in self._repositories():
            blob = directory / "blobs" / sha256
            if blob.is_file() and not blob.is_symlink():
                return self._snapshot_of(directory, blob, sha256)
        return None

    def file(self, wanted: HubFile) -> Cached | None:
        """Return the file at this place as it was when it was fetched.

        Raises:
            SourceUnavailable: the cache cannot be read.
        """
        directory = self._directory(wanted.repo)
        commit = self._commit(directory, wanted.revision)
        path = PurePosixPath(wanted.path)
        if commit is None or path.is_absolute() or ".." in path.parts:
            return None
        return _cached(directory, HubFile(wanted.repo, commit, wanted.path))

    def _directory(self, repo: str) -> Path:
        kind = "models"
        for prefix in ("datasets/", "spaces/"):
            if repo.startswith(prefix):
                kind, repo = prefix.rstrip("/"), repo.removeprefix(prefix)
        return self._root / "--".join([kind, *repo.split("/")])

    def _commit(self, directory: Path, revision: str) -> str | None:
        if _COMMIT.fullmatch(revision):
            return revision
        if ".." in PurePosixPath(revision).parts:
            return None
        try:
            text = (directory / "refs" / revision).read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise self._unreadable(error) from error
        return text.strip() if _COMMIT.fullmatch(text.strip()) else None

    def _repositories(self) -> Iterator[Path]:
        try:
            with os.scandir(self._root) as entries:
                for number, entry in enumerate(entries):
                    if number == _MOST_REPOSITORIES:
                        return
                    if entry.name.startswith("models--"):
                        yield Path(entry.path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unreadable(error) from error

    def _snapshot_of(self, directory: Path, blob: Path, sha256: str) -> Cached | None:
        """Return under which name a snapshot has the blob."""
        repo = "/".join(directory.name.split("--")[1:])
        looked_at = 0
        for commit in sorted(directory.glob("snapshots/*")):
            if not _COMMIT.fullmatch(commit.name):
                continue
            for path in commit.rglob("*"):
                looked_at += 1
                if looked_at > _MOST_FILES:
                    return None
                if path.is_symlink() and path.resolve() == blob.resolve():
                    name = path.relative_to(commit).as_posix()
                    file = HubFile(repo, commit.name, name)
                    return Cached(file, blob.resolve(), blob.stat().st_size, sha256)
        return None

    def _unreadable(self, error: OSError) -> SourceUnavailable:
        return SourceUnavailable(
            f"The cache of Hugging Face in {self._root} cannot be read: {error.strerror}.",
            remedy="Look at its permissions; files that are in it are fetched again meanwhile.",
        )


def _cached(directory: Path, file: HubFile) -> Cached | None:
    """Return the blob behind a file of a snapshot, or ``None`` where there is none with a hash."""
    try:
        blob = (directory / "snapshots" / file.revision / file.path).resolve(strict=True)
        size = blob.stat().st_size
    except (OSError, RuntimeError):
        return None
    sha256 = sha256_or_none(blob.name)
    if blob.parent != (directory / "blobs").resolve() or sha256 is None or not blob.is_file():
        return None
    return Cached(file, blob, size, sha256)


class CacheBackend:
    """Offers what lies in the cache: the wanted bytes, or the file at a workflow's address."""

    name = "hfcache"

    def __init__(self, cache: LocalHubCache, endpoints: Endpoints) -> None:
        self._cache = cache
        self._endpoints = endpoints

    def search(self, wanted: Wanted) -> Offers:
        """See `SearchBackend.search`."""
        findings = Findings()
        for url in wanted.urls:
            findings.take(partial(self._by_address, url, wanted))
        found = {offer.sha256 for offer in findings.candidates}
        for sha256 in wanted.sha256:
            if sha256 not in found:
                findings.take(partial(self._by_sha256, sha256))
        return findings.offers()

    def _by_sha256(self, sha256: str) -> list[Candidate]:
        found = self._cache.with_sha256(sha256)
        if found is None:
            return []
        return [self._offer(found, found.file.url, Grade.A, "It has the wanted SHA-256 there.")]

    def _by_address(self, url: str, wanted: Wanted) -> list[Candidate]:
        try:
            file = HubFile.from_url(self._endpoints.canonical(url))
        except UrlRefused:
            return []  # the backend `workflow` tells of it
        found = self._cache.file(file) if file is not None else None
        if file is None or found is None:
            return []
        if wanted.sha256:
            proven = found.sha256 in wanted.sha256
            reason = "It has the wanted SHA-256 there."
            return [self._offer(found, file.url, Grade.A, reason)] if proven else []
        reason = f"The workflow gives this address; the copy is of commit {found.file.revision}."
        return [self._offer(found, file.url, Grade.B, reason)]

    def _offer(self, found: Cached, url: str, grade: Grade, reason: str) -> Candidate:
        return Candidate(
            backend=self.name,
            url=url,
            filename=found.file.filename,
            size=found.size,
            sha256=found.sha256,
            grade=grade,
            evidence=("The cache of Hugging Face on this machine has it.", reason),
            page=found.file.page,
            local=found.path,
        )
