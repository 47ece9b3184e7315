"""Files that can run code when they are loaded: what the settings say about placing one.

Nothing is loaded or unpickled; what a scan finds is what the opcodes ask for.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from comfywatchman.disk.heads.reading import read_head
from comfywatchman.disk.heads.values import Scan
from comfywatchman.disk.structure import PICKLE_SUFFIXES
from comfywatchman.domain.errors import PickleRefused, UnsafeFile

Policy = Literal["scan", "never", "always"]
"""``download.allow_pickle``."""

_PICKLED = frozenset({"torch-zip", "pickle"})
_HARMLESS = frozenset({"safetensors", "gguf"})
_MOST_NAMED = 5


def check_name(name: str, policy: Policy) -> None:
    """Refuse by its suffix what is not wanted at all, before anything is fetched.

    Raises:
        PickleRefused
    """
    if policy == "never" and PurePosixPath(name).suffix.lower() in PICKLE_SUFFIXES:
        raise _refused(name)


def check_bytes(descriptor: int, name: str, policy: Policy, *, chosen: bool) -> None:
    """Refuse an open file with code in it; what a person chose is theirs to answer for.

    Args:
        descriptor: of all the bytes.
        name: that it is to have.
        policy: of the settings.
        chosen: whether a person chose it, having been told.

    Raises:
        PickleRefused: no such file is wanted.
        UnsafeFile: it imports what nobody vouches for, or cannot be read to its end.
        DiskFailed
    """
    suffix = PurePosixPath(name).suffix.lower()
    head = read_head(descriptor, suffix)
    if head.format in _HARMLESS:
        return
    if head.scan is None and head.format not in _PICKLED and suffix not in PICKLE_SUFFIXES:
        return
    if policy == "never":
        raise _refused(name)
    if policy == "always" or chosen:
        return
    why = _against(head.scan)
    if why is not None:
        raise UnsafeFile(
            f"{name} can run code when it is loaded, and {why}.",
            remedy="It waits as it is, under no name that ComfyUI lists. Look for the same model "
            "as .safetensors; if you trust its source, choose it: comfywatchman choose.",
        )


def _against(scan: Scan | None) -> str | None:
    """Say what speaks against the file, or ``None`` where nothing does."""
    if scan is None:
        return "it holds nothing that could be looked through"
    if scan.verdict == "clean":
        return None
    suspects = [f"{i.module}.{i.name}" for i in scan.imports if i.verdict == "dangerous"]
    unknown = [f"{i.module}.{i.name}" for i in scan.imports if i.verdict == "unknown"]
    if suspects:
        return f"it asks for {_named(suspects)}"
    if unknown:
        return f"nobody vouches for {_named(unknown)}, which it asks for"
    return f"it could not be looked through: {scan.error}"


def _named(names: list[str]) -> str:
    shown = ", ".join(f"{name!a}" for name in names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _refused(name: str) -> PickleRefused:
    return PickleRefused(
        f"{name} is of a kind that can run code when it is loaded.",
        remedy="Look for the same model as .safetensors, or set download.allow_pickle to scan.",
    )
