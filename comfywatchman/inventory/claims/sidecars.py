"""Side-car files beside a model: LoRA Manager's and those that hold Civitai's answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from comfywatchman.disk.decoding import decoder_of
from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import open_regular
from comfywatchman.domain.errors import ClaimsUnreadable, FileUnreadable
from comfywatchman.domain.files import Stamp
from comfywatchman.inventory.claims.said import Said, digest, digits, unreadable

_LARGEST = 8 << 20
"""Bytes; those with hundreds of example pictures have two million."""

LORA_MANAGER, CIVITAI_INFO = "lora-manager", "civitai-info"
_SUFFIXES = {LORA_MANAGER: ".metadata.json", CIVITAI_INFO: ".civitai.info"}
_ROUNDED = 1024
"""Bytes by which Civitai's sizes, in kB of 1024, may be off."""


class _Manager(Struct):
    sha256: str | None = None
    size: int | float | None = None
    autov3: str | None = None
    hash_status: str | None = None


class _File(Struct):
    sizeKB: float | None = None  # noqa: N815 - Civitai's name for it
    hashes: dict[str, str | None] = {}


class _Info(Struct):
    files: list[_File] = []


def spoken_of(name: str) -> str | None:
    """Return the stem of the models that a side-car called *name* speaks of, if it is one."""
    for suffix in _SUFFIXES.values():
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return None


def beside(
    path: Path, stamp: Stamp, names: frozenset[str] | None = None
) -> Iterator[Said | ClaimsUnreadable]:
    """Yield what the side-cars of the model at *path* say.

    Args:
        path: of the model.
        stamp: of the model now.
        names: of the files in its directory, where they are known already.
    """
    for source, suffix in _SUFFIXES.items():
        # Both programs replace the suffix, so two models of one stem share a side-car.
        name = path.stem + suffix
        if names is not None and name not in names:
            continue
        told_by = path.with_name(name)
        try:
            data = _read(told_by)
            if data is not None:
                said = (
                    _manager(data, path, stamp, told_by)
                    if source == LORA_MANAGER
                    else _civitai(data, path, stamp, told_by)
                )
                if said is not None:
                    yield said
        except ClaimsUnreadable as error:
            yield error


def _read(path: Path) -> bytes | None:
    """Return the content; ``None`` where there is no such file.

    Raises:
        ClaimsUnreadable
    """
    try:
        descriptor = open_regular(path)
    except FileUnreadable as error:
        if not os.path.lexists(path):
            return None
        raise unreadable(path, error.cause) from error
    try:
        if os.fstat(descriptor).st_size > _LARGEST:
            raise unreadable(path, f"it is larger than {_LARGEST} bytes")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise unreadable(path, reading_failed(error, path).cause) from error
    finally:
        os.close(descriptor)


def _manager(data: bytes, path: Path, stamp: Stamp, told_by: Path) -> Said | None:
    try:
        said = decoder_of(_Manager).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(told_by, str(error)[:200]) from error
    if said.hash_status not in {None, "completed"} or said.size != stamp.size:
        return None
    sha256, autov3 = digest(said.sha256), digits(said.autov3, 12)
    if sha256 is None and autov3 is None:
        return None
    return Said(path, stamp, LORA_MANAGER, told_by, sha256, autov3=autov3)


def _civitai(data: bytes, path: Path, stamp: Stamp, told_by: Path) -> Said | None:
    """Return the hashes of the one file of the version that has this size.

    A version holds several, such as the pruned one and the full one.
    """
    try:
        said = decoder_of(_Info).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(told_by, str(error)[:200]) from error
    fitting = {
        sha256: file
        for file in said.files
        if file.sizeKB is not None
        and abs(file.sizeKB * 1024 - stamp.size) <= _ROUNDED
        and (sha256 := digest(file.hashes.get("SHA256"))) is not None
    }
    if len(fitting) != 1:
        return None
    [(sha256, file)] = fitting.items()
    autov3 = digits(file.hashes.get("AutoV3"), 12)
    blake3 = digits(file.hashes.get("BLAKE3"), 64)
    return Said(path, stamp, CIVITAI_INFO, told_by, sha256, autov3=autov3, blake3=blake3)
