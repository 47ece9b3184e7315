"""The lock file: which models, byte for byte, and which node packs some workflows need.

One entry a line of thought, keys and entries in a fixed order and no time in it, so that two lock
files differ only where what they lock differs.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from comfywatchman.disk.decoding import decoder_of
from comfywatchman.domain.errors import SettingsInvalid
from comfywatchman.report.render.rows import encoded

MOST_BYTES = 64 << 20

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Meta(min_length=1, max_length=4096)]


class LockedSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A place that gives out these bytes, when the lock was made."""

    url: Annotated[str, Meta(min_length=1, max_length=8192)]
    backend: str = "lock"
    """Who knew it."""


class LockedModel(Struct, frozen=True, kw_only=True):
    """One file: where it goes, and its bytes."""

    folder: Name
    """ComfyUI's folder name."""
    name: Name
    """Below a root of that folder, with ``/``."""
    sha256: Sha256
    size: Annotated[int, Meta(ge=0)] | None = None
    sources: tuple[LockedSource, ...] = ()
    """Free ones first; none where the file was here and nobody is known to have it."""


class LockedPack(Struct, frozen=True, kw_only=True):
    """A node pack; a lock names it, and nothing of ours installs it."""

    id: str | None
    """Of the registry, or ``owner/name``; ``None`` where nobody knows who brings these types."""
    title: str | None = None
    url: str | None = None
    version: str | None = None
    """Of the pack that was installed."""
    node_types: tuple[str, ...] = ()
    """Those that the workflows use."""


class LockedWorkflow(Struct, frozen=True, kw_only=True):
    name: str
    """Of the file, without the directories that it was in."""
    sha256: str


class NotLocked(Struct, frozen=True, kw_only=True):
    """A model that a workflow asks for and that this file cannot bring back."""

    folder: str | None
    name: str
    state: str
    """As in the report: missing, ambiguous, dynamic, autodownload, …"""
    why: str


class _Version(Struct, frozen=True):
    """What tells a lock file from any other JSON."""

    lock_version: Literal[1]


class Lock(Struct, frozen=True, kw_only=True):
    lock_version: Literal[1] = 1
    models: tuple[LockedModel, ...] = ()
    node_packs: tuple[LockedPack, ...] = ()
    not_locked: tuple[NotLocked, ...] = ()
    workflows: tuple[LockedWorkflow, ...] = ()

    def in_order(self) -> Lock:
        """Return the same in the order that is written."""
        return Lock(
            models=tuple(sorted(self.models, key=lambda m: (m.folder, m.name))),
            node_packs=tuple(sorted(self.node_packs, key=lambda p: (p.id is None, p.id or ""))),
            not_locked=tuple(sorted(self.not_locked, key=lambda n: (n.folder or "", n.name))),
            workflows=tuple(sorted(self.workflows, key=lambda w: (w.name, w.sha256))),
        )


def to_bytes(lock: Lock) -> bytes:
    """Return *lock* as it is written."""
    return msgspec.json.format(encoded(lock.in_order()), indent=2) + b"\n"


def read_lock(data: bytes, called: str) -> Lock:
    """Return the lock in *data*, a file that messages call *called*.

    Raises:
        SettingsInvalid: it is no lock file, or one of a later version.
    """
    try:
        if len(data) > MOST_BYTES:
            raise msgspec.ValidationError(f"it has more than {MOST_BYTES} bytes")
        decoder_of(_Version).decode(data)
        lock = decoder_of(Lock).decode(data)
        _check_names(lock)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsInvalid(
            f"{called} is no lock file: {error}.",
            remedy="Make one: comfywatchman lock WORKFLOW -o FILE.",
        ) from error
    return lock


def _check_names(lock: Lock) -> None:
    """Refuse two entries for one name, and names that lead elsewhere.

    Raises:
        msgspec.ValidationError
    """
    seen: set[tuple[str, str]] = set()
    for model in lock.models:
        key = (model.folder, model.name)
        if key in seen:
            raise msgspec.ValidationError(f"two entries for {model.folder}/{model.name}")
        seen.add(key)
        parts = PurePosixPath(model.name).parts
        if ".." in parts or PurePosixPath(model.name).is_absolute() or "\\" in model.name:
            raise msgspec.ValidationError(f"{model.name!r} is no name of a model")


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a lock file."""
    return msgspec.json.schema(Lock)
