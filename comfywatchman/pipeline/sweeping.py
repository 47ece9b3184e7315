"""Walks what is watched and says how it differs from what is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.disk.walk import Identity, walk
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import MODEL_SUFFIXES, Folders, Stamp
from comfywatchman.domain.messages import Event, ModelCorrupt, ModelFound
from comfywatchman.inventory import examine_model, is_model
from comfywatchman.state import models, workflows
from comfywatchman.watch.sweep import Outcome, Sweep

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection, Reader

WORKFLOW_SUFFIXES = frozenset(
    [
        ".json",
        ".png",
        ".webp",
        ".jpg",
        ".jpeg",
        ".avif",
        ".flac",
        ".ogg",
        ".opus",
        ".mp3",
        ".mp4",
        ".m4a",
        ".m4v",
        ".mov",
        ".webm",
        ".mkv",
        ".svg",
        ".glb",
        ".latent",
    ]
)
"""What is looked into for a workflow, by the name; what a file really is its bytes tell."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One directory that is watched, and what in it matters."""

    kind: str
    """``workflows`` or ``models``."""
    key: str
    """How metrics call it: its place in the settings, never its path."""
    root: Path
    wanted: Callable[[str], bool]
    optional: bool = False
    """ComfyUI would look there, but nobody says that it exists (``output/loras``)."""


@dataclass(frozen=True, slots=True)
class TreeNews:
    """What a walk over one tree found."""

    tree: Tree
    found: Outcome = field(default_factory=Outcome)
    files: int = 0
    directories: Mapping[Path, Identity] = field(default_factory=dict)
    """Real path and identity of every directory that could be read."""
    linked: tuple[tuple[Path, Path], ...] = ()
    """(as ComfyUI spells it, real place) of directories reached through a link."""
    troubles: tuple[tuple[Path, Trouble], ...] = ()
    offline: Trouble | None = None
    """Set where the root itself is gone: then nothing was compared."""
    duration_seconds: float = 0.0


def trees(workflow_dirs: Sequence[Path], folders: Folders) -> tuple[Tree, ...]:
    """Return everything to watch."""
    found = [
        Tree("workflows", f"workflow_dirs.{number}", path, is_workflow_file)
        for number, path in enumerate(workflow_dirs)
    ]
    for number, root in enumerate(folders.roots()):
        key = "models" if root == folders.models_root else f"model_roots.{number}"
        optional = root != folders.models_root and folders.comfyui_root in root.parents
        found.append(Tree("models", key, root, models_of(folders), optional))
    return tuple(found)


def models_of(folders: Folders) -> Callable[[str], bool]:
    """Return what says by its name whether a file counts as a model in some folder."""
    suffixes = MODEL_SUFFIXES.union(*(folder.suffixes for folder in folders.table.values()))
    return partial(is_model, suffixes=suffixes - {""})


def is_workflow_file(name: str) -> bool:
    """Say by its name whether a file may hold a workflow; hidden ones are programs' own."""
    return not name.startswith(".") and Path(name).suffix.lower() in WORKFLOW_SUFFIXES


def found_model(path: Path) -> list[Event]:
    """Look into a model file that has come to rest, and say what is there."""
    seen = examine_model(path)
    usable = seen.whole and seen.trouble is None
    found: list[Event] = [ModelFound(path, seen.stamp.size, usable, seen.stamp)]
    if seen.trouble is not None:
        found.append(ModelCorrupt(path, seen.trouble))
    return found


@dataclass(slots=True)
class _Gathering:
    sweep: Sweep = field(default_factory=Sweep)
    files: int = 0
    directories: dict[Path, Identity] = field(default_factory=dict)
    linked: list[tuple[Path, Path]] = field(default_factory=list)
    troubles: list[tuple[Path, Trouble]] = field(default_factory=list)


def sweep_tree(tree: Tree, reader: Reader, below: Path | None = None) -> TreeNews:
    """Walk *tree*, or only the directory *below* in it, and compare it with the rows.

    A root that is not there is told and proves nothing about what was in it.
    """
    started = time.monotonic()
    start = below or tree.root
    gathering = _Gathering()
    with reader.connect() as connection:
        offline = _walk(tree, start, connection, gathering)
        if offline is not None and not (below is not None and _is_gone(below)):
            return TreeNews(tree, offline=offline)
        _take_gone(tree, start, connection, gathering)
    return TreeNews(
        tree,
        gathering.sweep.outcome(),
        gathering.files,
        gathering.directories,
        tuple(gathering.linked),
        tuple(gathering.troubles),
        None,
        time.monotonic() - started,
    )


def _walk(tree: Tree, start: Path, connection: Connection, gathering: _Gathering) -> Trouble | None:
    for listing in walk(start, tree.wanted):
        if listing.trouble is not None:
            if listing.directory == start and listing.identity is None:
                return listing.trouble
            gathering.troubles.append((listing.directory, listing.trouble))
        gathering.files += len(listing.files)
        if listing.identity is not None:
            gathering.directories[listing.real] = listing.identity
        if listing.linked:
            gathering.linked.append((listing.directory, listing.real))
        gathering.sweep.take(listing, _known(tree, connection, listing.directory))
    return None


def _is_gone(directory: Path) -> bool:
    """Whether a directory below a root was removed, and is not merely out of reach."""
    return not directory.exists() and not directory.is_symlink() and directory.parent.is_dir()


def _take_gone(tree: Tree, start: Path, connection: Connection, gathering: _Gathering) -> None:
    every = (models if tree.kind == "models" else workflows).directories(connection)
    inside = [path for path in every if path == start or start in path.parents]
    for directory in gathering.sweep.gone(inside):
        gathering.sweep.take_gone(directory, _known(tree, connection, directory))


def _known(tree: Tree, connection: Connection, directory: Path) -> dict[str, Stamp]:
    if tree.kind == "models":
        return models.stamps_in(connection, directory)
    return workflows.stamps_in(connection, directory)
