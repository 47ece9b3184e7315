"""Walks what is watched and says how it differs from what is known."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.disk.answering import Silent
from comfywatchman.disk.walk import Avoid, Identity, Listing, stored, walk
from comfywatchman.domain.errors import RootOffline, Trouble
from comfywatchman.domain.files import MODEL_SUFFIXES, Folders, Stamp
from comfywatchman.domain.messages import Event, ModelCorrupt, ModelFound
from comfywatchman.inventory import examine_model, is_model
from comfywatchman.pipeline.leftovers import is_part
from comfywatchman.state import marks, models, volumes, workflows
from comfywatchman.watch.absence import Absence
from comfywatchman.watch.inhabited import Inhabited
from comfywatchman.watch.kernel import Mount, mount_of, mounts
from comfywatchman.watch.sweep import Outcome, Sweep

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Reader

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
    directories: Mapping[bytes, Identity] = field(default_factory=dict)
    """Real path and identity of every directory that could be read."""
    linked: tuple[tuple[Path, Path], ...] = ()
    """(as ComfyUI spells it, real place) of directories reached through a link."""
    troubles: tuple[tuple[Path, Trouble], ...] = ()
    offline: Trouble | None = None
    """Set where the root itself is gone: then nothing was compared."""
    duration_seconds: float = 0.0
    handed_over: int = 0
    """How many new files went to who wanted them at once; they are not in *found*."""
    parts: tuple[Path, ...] = ()
    """Parts of downloads of ours."""
    volumes: Mapping[int, int] = field(default_factory=dict)
    """Which file systems the device numbers stand for now, where that is news."""
    dead_links: tuple[Path, ...] = ()
    """Known files that are links to nothing now; their drive may only not be there."""
    odd: tuple[tuple[Path, Trouble], ...] = ()
    """Names of models or workflows that are no files: links to nothing, pipes."""
    unmarked: tuple[marks.Unmarked, ...] = ()
    """Directories of models in which nothing changed or is missing, and that have no mark."""
    mute_links: tuple[Path, ...] = ()
    """Known files that are links to something that does not answer."""

    def out_of_reach(self) -> dict[Path, Trouble]:
        """Return the places that are not what they were, and why."""
        held = {each.place: each.trouble for each in self.found.held}
        dead = {path: why for path, why in self.troubles if why.code == RootOffline.code}
        links = {
            path: RootOffline(
                f"The link {path} leads to nothing.",
                remedy="Connect the drive it leads to, or remove the link.",
            ).trouble()
            for path in self.dead_links
        }
        mute = {
            path: RootOffline(
                f"The link {path} leads to something that does not answer.",
                remedy="Look at the drive or the server it leads to; it is tried again by itself.",
            ).trouble()
            for path in self.mute_links
        }
        return {**dead, **links, **mute, **held}

    def emptied(self) -> set[Path]:
        """Return the places that were full and hold nothing now."""
        return {each.place for each in self.found.held if each.why is Absence.EMPTIED}

    def counts(self) -> tuple[tuple[str, int], ...]:
        """Return (kind, count) of what differs, of all four kinds."""
        counts = dict(self.found.counts())
        counts["added"] += self.handed_over
        return tuple(counts.items())


def trees(workflow_dirs: Sequence[Path], folders: Folders) -> tuple[Tree, ...]:
    """Return everything to watch."""
    found = [
        Tree("workflows", f"workflow_dirs.{number}", path, is_workflow_file)
        for number, path in enumerate(workflow_dirs)
    ]
    for number, root in enumerate(folders.roots()):
        key = "models" if root == folders.models_root else f"model_roots.{number}"
        inside = root != folders.models_root and folders.comfyui_root in root.parents
        optional = inside or root in folders.assumed
        found.append(Tree("models", key, root, models_of(folders), optional))
    return tuple(found)


def models_of(folders: Folders) -> Callable[[str], bool]:
    """Return what says by its name whether a file counts as a model in some folder."""
    suffixes = MODEL_SUFFIXES.union(*(folder.suffixes for folder in folders.table.values()))
    return partial(is_model, suffixes=suffixes - {""})


def is_workflow_file(name: str) -> bool:
    """Say by its name whether a file may hold a workflow; hidden ones are programs' own."""
    stem, dot, suffix = name.rpartition(".")
    return bool(dot and stem) and name[0] != "." and f".{suffix}".lower() in WORKFLOW_SUFFIXES


def found_model(path: Path) -> list[Event]:
    """Look into a model file that has come to rest, and say what is there."""
    seen = examine_model(path)
    usable = seen.whole and seen.trouble is None
    found: list[Event] = [ModelFound(path, seen.stamp.size, usable, seen.stamp, seen.trouble)]
    if seen.whole and seen.trouble is not None:
        found.append(ModelCorrupt(path, seen.trouble))
    return found


TakeNew = Callable[[Path, Sequence[tuple[str, Stamp]]], None]
"""Is handed new files as the walk meets them: their directory, and name and stamp of each."""


@dataclass(slots=True)
class _Gathering:
    sweep: Sweep
    avoid: Avoid | None = None
    files: int = 0
    handed_over: int = 0
    directories: dict[bytes, Identity] = field(default_factory=dict)
    linked: list[tuple[Path, Path]] = field(default_factory=list)
    troubles: list[tuple[Path, Trouble]] = field(default_factory=list)
    parts: list[Path] = field(default_factory=list)
    dead_links: list[Path] = field(default_factory=list)
    odd: list[tuple[Path, Trouble]] = field(default_factory=list)
    unmarked: list[marks.Unmarked] = field(default_factory=list)
    mute_links: list[Path] = field(default_factory=list)

    def take(self, listing: Listing) -> None:
        self.files += len(listing.files) + listing.same
        if listing.trouble is not None:
            self.troubles.append((listing.directory, listing.trouble))
        self.troubles += [(listing.directory / name, why) for name, why in listing.failed]
        if listing.identity is not None:
            self.directories[listing.real_path] = listing.identity
        if listing.linked:
            self.linked.append((listing.directory, listing.real))
        if listing.others:
            parts = [name for name in listing.others if is_part(name)]
            self.parts += [listing.directory / name for name in parts]
        if listing.unclear and listing.known:
            for path in (listing.directory / n for n in listing.unclear if n in listing.known):
                if self._leads_to_silence(path):
                    self.mute_links.append(path)
                elif _leads_nowhere(path):
                    self.dead_links.append(path)
        for name, trouble in listing.odd:
            if name not in listing.known:
                self.odd.append((listing.directory / name, trouble))
        self.sweep.take(listing, listing.known)

    def _leads_to_silence(self, path: Path) -> bool:
        try:
            if self.avoid is not None:
                self.avoid(os.fsencode(path))
        except Silent:
            return True
        return False


def sweep_tree(
    tree: Tree,
    reader: Reader,
    below: Path | None = None,
    *,
    take_new: TakeNew | None = None,
    beat: Callable[[], None] = lambda: None,
    believe: bool = False,
    on_others: Callable[[Listing], None] | None = None,
    avoid: Avoid | None = None,
) -> TreeNews:
    """Walk *tree*, or only the directory *below* in it, and compare it with the rows.

    A root that is not there is told and proves nothing about what was in it.

    Args:
        tree: what to walk.
        reader: where the rows are.
        below: a directory in it, where the rest is of no interest.
        take_new: is handed new files at once, so that a hundred thousand of them need not be kept
            in memory; those with an inode that a row has may have moved here, and come later.
        beat: called as the walk goes on.
        believe: whether what is missing was removed, also where its drive may not be there.
        on_others: is handed each directory with files in it that the tree does not want.
        avoid: what must not be touched, as `walk` has it; the rows there stay as they are.
    """
    started = time.monotonic()
    start = below or tree.root
    top = os.fsencode(start)
    rows = models if tree.kind == "models" else workflows
    with reader.connect() as connection:
        before = volumes.known(connection)
        # Workflows are quickly read again, and are not fetched for being missing.
        full = os.fsencode(tree.root) if tree.kind == "models" else b""
        gathering = _Gathering(Sweep(Numbering(), folders=Inhabited(full)), avoid)
        known_inode = rows.known_inode(connection) if rows.any_row(connection) else _no
        known_in = rows.known_in(connection)
        mark_of = marks.mark_of(connection) if rows is models else _unmarked
        listings = walk(start, tree.wanted, known_in, beat, tree.root, marks=mark_of, avoid=avoid)
        for listing in listings:
            if listing.identity is None and listing.path == top:
                if start == tree.root or not _was_taken_away(start, gathering.sweep):
                    return TreeNews(tree, offline=listing.trouble)
                break
            gathering.sweep.folders.meet(listing)
            if on_others is not None and listing.others:
                on_others(listing)
            if rows is models and avoid is None and _wants_mark(listing):
                gathering.unmarked.append((listing.path, listing.beside))
            if take_new is not None and listing.files:
                gathering.handed_over += _hand_over(listing, take_new, known_inode)
            gathering.take(listing)
        for directory in gathering.sweep.gone(rows.directories(connection, start)):
            known = known_in(directory).items()
            stamps = {os.fsdecode(path.rpartition(b"/")[2]): stored(row) for path, row in known}
            gathering.sweep.take_gone(Path(os.fsdecode(directory)), stamps)
        here = _volumes(gathering.directories)
        gathering.sweep.strangers = {
            device for device, volume in here.items() if before.get(device, volume) != volume
        }
        found = gathering.sweep.outcome(rows.remembered(connection), believe=believe)
    return TreeNews(
        tree,
        found,
        gathering.files,
        gathering.directories,
        tuple(gathering.linked),
        tuple(gathering.troubles),
        None,
        time.monotonic() - started,
        gathering.handed_over,
        tuple(gathering.parts),
        {} if here.items() <= before.items() else here,
        tuple(gathering.dead_links),
        tuple(gathering.odd),
        tuple(gathering.unmarked),
        tuple(gathering.mute_links),
    )


def _unmarked(_directory: bytes) -> None:
    return


def _wants_mark(listing: Listing) -> bool:
    """Whether it holds files, every one as it is known or to be known soon, and has no mark."""
    whole = listing.identity is not None and listing.trouble is None and not listing.known
    return whole and not listing.marked and bool(listing.same or listing.files)


def _leads_nowhere(link: Path) -> bool:
    try:
        return link.is_symlink() and not link.exists()
    except OSError:
        return False


def _no(_inode: int) -> bool:
    return False


def _volumes(directories: Mapping[bytes, Identity]) -> dict[int, int]:
    """Return device number -> identity of its file system, for those that tell one."""
    found: dict[int, int] = {}
    for real, (device, _) in directories.items():
        if device not in found:
            try:
                found[device] = os.statvfs(real).f_fsid
            except OSError:
                continue
    return {device: volume for device, volume in found.items() if volume}


def _hand_over(listing: Listing, take_new: TakeNew, known_inode: Callable[[int], bool]) -> int:
    """Hand over the new files that cannot have moved here, and take them out of *listing*."""
    kept: list[tuple[str, Stamp]] = []
    new: list[tuple[str, Stamp]] = []
    for name, stamp in listing.files:
        may_be_known = name in listing.known or known_inode(stamp.inode)
        (kept if may_be_known else new).append((name, stamp))
    if new:
        take_new(listing.directory, new)
        listing.files = tuple(kept)
    return len(new)


def _was_taken_away(directory: Path, sweep: Sweep) -> bool:
    """Whether a directory below a root was removed, and is not merely out of reach.

    What is left of the way to it then tells whether that proves anything.
    """
    try:
        directory.lstat()
    except FileNotFoundError:
        pass
    except OSError:
        return False
    else:
        return False
    try:
        status = directory.parent.stat()
    except OSError:
        return False
    sweep.stand_on(directory.parent, status.st_dev, status.st_mtime_ns)
    return True


class Numbering:
    """Says where a file has the same inode number at each mount; reads the mounts when asked."""

    def __init__(self, mounted: Callable[[], list[Mount]] = mounts) -> None:
        self._mounted = mounted
        self._read: list[Mount] | None = None

    def __call__(self, real: Path) -> bool:
        if self._read is None:
            self._read = self._mounted()
        mount = mount_of(real, self._read)
        return mount is None or mount.numbered
