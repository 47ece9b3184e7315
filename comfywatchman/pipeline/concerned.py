"""Which workflows an event about a file is news to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.domain.files import parts_of
from comfywatchman.domain.messages import (
    Event,
    ModelChanged,
    ModelCorrupt,
    ModelFound,
    ModelIndexed,
    ModelMoved,
    ModelPlaced,
    ModelRemoved,
    ModelVerified,
    RootOffline,
    RootOnline,
)
from comfywatchman.state import loose, promises, workflows

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection


Bytes = dict[Path, frozenset[str]]
"""Of a file, every way in which its hash may be stated."""


def bytes_of(connection: Connection, event: Event) -> Bytes:
    """Return what is known of the bytes of the files that *event* is about."""
    match event:
        case ModelMoved(path=path, before=before):
            paths = {path, before}
        case (
            ModelFound(path=path)
            | ModelIndexed(path=path)
            | ModelPlaced(path=path)
            | ModelRemoved(path=path)
            | ModelVerified(path=path)
            | ModelCorrupt(path=path)
        ):
            paths = {path}
        case _:
            paths = set()
    return {path: promises.proven(connection, path) for path in paths}


def by_bytes(connection: Connection, event: Event, before: Bytes) -> set[Path]:
    """Return the workflows that state bytes which came or went with *event*, by whatever name.

    To those that have their file in place it is no news that it came once more.
    """
    now = bytes_of(connection, event)
    lost = {digits for path in before for digits in before[path] - now[path]}
    gained = {digits for path in before for digits in now[path] - before[path]}
    found = promises.promising(connection, lost)
    return found | promises.promising(connection, gained, lacking=True)


def by_name(connection: Connection, event: Event) -> tuple[Path, ...]:
    """Return the workflows that ask for what *event* is about by its name."""
    match event:
        case ModelIndexed(path=path, reading=reading):
            digits = promises.spellings(reading.measured.sha256, reading.digests.after_sha256)
            return tuple(promises.doubting(connection, path.name, digits))
        case ModelMoved(path=path, before=before):
            names = {*parts_of(path.name), *parts_of(before.name)}
            named = [w for name in names for w in workflows.wanting(connection, name)]
            return (*named, *loose.taking(connection, path))
        case (
            ModelPlaced(path=path)
            | ModelFound(path=path)
            | ModelRemoved(path=path)
            | ModelChanged(path=path)
            | ModelCorrupt(path=path)
        ):
            # Of a model in parts, a workflow names the first.
            names = {*parts_of(path.name)}
            named = [w for name in names for w in workflows.wanting(connection, name)]
            return (*named, *loose.taking(connection, path))
        case RootOffline(root=root):
            return tuple(workflows.wanting_from(connection, root))
        case RootOnline(root=root):
            # Models may have gone while the workflows themselves were out of reach.
            return (*workflows.wanting_from(connection, root), *workflows.below(connection, root))
        case _:
            return ()
