"""Where a model goes, and how verified bytes get their name there: over nobody's file."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from comfywatchman.disk.errors import reading_failed, writing_failed
from comfywatchman.disk.files import (
    free_bytes,
    fsync_directory,
    look,
    measure,
    open_regular,
    stamp_of,
)
from comfywatchman.disk.names import MOST_BYTES, check_name, check_neighbors, open_beneath
from comfywatchman.disk.part import (
    SUFFIX,
    copy_into,
    lock,
    make_directories,
    open_part,
    remove_part,
)
from comfywatchman.disk.publish import NO_HARD_LINKS, move_new, publish_in
from comfywatchman.domain.errors import (
    DiskFull,
    FileUnreadable,
    FolderNotWritable,
    NameTaken,
    UnknownFolder,
    UnsafeName,
    VerificationFailed,
)
from comfywatchman.domain.files import Folders, Measured

QUARANTINE = ".comfywatchman-quarantine"

_REFUSED_FOLDERS = frozenset({"custom_nodes", "configs"})
"""Code, and settings of old checkpoints: nothing we fetch belongs there."""

_ANYWHERE = frozenset({".gguf", ".onnx"})
"""Suffixes that packs add to whatever folder they read."""

_CODE = frozenset(
    {".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".exe", ".sh", ".bat", ".cmd"}
    | {".ps1", ".js", ".mjs", ".html", ".htm", ".svg", ".desktop", ".lnk", ".command"}
)
"""Never placed, even where ComfyUI lists every file of a folder."""


_PART = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Target:
    """Where one model goes."""

    root: Path
    """A directory of the folder, as configured."""
    relative: PurePosixPath
    """The name below it."""
    final: Path
    """As ComfyUI will open it."""
    part: Path
    """Beside *final*; the same for the same fingerprint, so that a restart finds it."""
    also: tuple[Path, ...] = ()
    """Further directories of models, into which a linked subdirectory may lead."""


def plan(folders: Folders, folder: str, name: str, fingerprint: str) -> Target:
    """Decide where *folder*/*name* goes; nothing is written.

    Args:
        folders: the folder table of the installation.
        folder: ComfyUI's folder name.
        name: as the workflow writes it.
        fingerprint: what tells one source's bytes from another's: the SHA-256 or the URL.

    Raises:
        UnsafeName: the name must not become a path, or leads out of the model directories.
        UnknownFolder: nothing may be placed in that folder.
        NameTaken: another file's name differs only in case or in the spelling of accents.
        FolderNotWritable: the directory is not there and not ours to create.
    """
    relative = check_name(name)
    root, suffixes = _write_root(folders, folder)
    _check_suffix(relative, suffixes, folder)
    _check_root(folders, root)
    also = tuple(place for place in folders.roots() if not _holds_code(folders, place))
    final = root / relative
    _check_directory(root, relative, also)
    part = final.with_name(part_name(relative.name, fingerprint))
    return Target(root, relative, final, part, also)


def part_name(name: str, fingerprint: str) -> str:
    """Return ``.NAME.HEX.part``, which no loader of ComfyUI lists."""
    hexadecimal = hashlib.sha256(fingerprint.encode(errors="surrogateescape")).hexdigest()[:12]
    room = MOST_BYTES - len(f"..{hexadecimal}{SUFFIX}")
    encoded = name.encode()
    if len(encoded) > room:
        digest = hashlib.sha256(encoded).hexdigest()[:8]
        name = f"{encoded[: room - 9].decode(errors='ignore')}-{digest}"
    return f".{name}.{hexadecimal}{SUFFIX}"


def _write_root(folders: Folders, folder: str) -> tuple[Path, frozenset[str]]:
    check_name(folder)
    known = folders.folder(folder)
    root = known.write_root
    if known.name in _REFUSED_FOLDERS or root is None or _holds_code(folders, root):
        raise UnknownFolder(
            f"Nothing is placed in the folder {folder!a}.",
            remedy="Put the file there yourself, or give the folder a directory of its own.",
        )
    return root, known.suffixes


def _holds_code(folders: Folders, root: Path) -> bool:
    """Whether *root* lies in a directory of custom nodes, by its name or by where it leads."""
    home = Path(os.path.realpath(folders.comfyui_root))
    for place, base in ((root, folders.comfyui_root), (Path(os.path.realpath(root)), home)):
        below = place.relative_to(base) if place.is_relative_to(base) else place
        if "custom_nodes" in below.parts:
            return True
    return False


def _check_suffix(relative: PurePosixPath, suffixes: frozenset[str], folder: str) -> None:
    suffix = relative.suffix.lower()
    allowed = suffix not in _CODE if not suffixes else suffix in suffixes | _ANYWHERE
    if not allowed:
        raise UnsafeName(
            f"{relative.name!a} is no model file of the folder {folder!a}.",
            remedy=f"ComfyUI lists there: {', '.join(sorted(suffixes)) or 'no programs'}.",
        )


def _check_root(folders: Folders, root: Path) -> None:
    """Refuse to make directories where a disk may merely not be mounted."""
    if root.is_dir() or root.parent.is_dir():
        return
    if root.is_relative_to(folders.models_root) and folders.models_root.parent.is_dir():
        return
    raise FolderNotWritable(
        f"Neither {root} nor the directory above it is there.",
        remedy=f"Mount the disk it lies on, or create {root}.",
    )


def _check_directory(root: Path, relative: PurePosixPath, also: Sequence[Path]) -> None:
    if not root.is_dir():
        return
    try:
        directory = open_beneath(root, relative, create=False, also=also)
    except FileNotFoundError:
        return
    try:
        check_neighbors(directory, relative.name, root / relative)
    finally:
        os.close(directory)


def publish_target(target: Target, measured: Measured) -> Path:
    """Give the verified part its final name; doing it twice is doing it once.

    Args:
        target: where it goes; the part lies beside.
        measured: what the verification found, to know the file again.

    Raises:
        NameTaken: a file of that name has other bytes; the part stays.
        VerificationFailed: the part is not the file that was measured.
        BeingFetched: somebody writes the part again.
        FileUnreadable, FolderNotWritable, DiskFull, DiskFailed
    """
    try:
        directory = open_beneath(target.root, target.relative, create=False, also=target.also)
    except FileNotFoundError as error:
        raise writing_failed(error, target.final) from error
    try:
        _publish(directory, target, measured)
    except OSError as error:
        raise writing_failed(error, target.final) from error
    finally:
        os.close(directory)
    return target.final


def _publish(directory: int, target: Target, measured: Measured) -> None:
    name = target.final.name
    try:
        part = os.open(target.part.name, _PART, dir_fd=directory)
    except FileNotFoundError:
        # The crash came after the publishing: the final name has the bytes, or nothing has.
        if not _has_name(directory, name):
            raise
        _compare(directory, target, measured)
        return
    try:
        lock(part, target.part)
        status = os.fstat(part)
        if not stat.S_ISREG(status.st_mode) or status.st_size != measured.size:
            raise VerificationFailed(
                f"{target.part} has {status.st_size} bytes, but {measured.size} were verified.",
                remedy="It is fetched again; nothing to do.",
            )
        check_neighbors(directory, name, target.final)
        try:
            if status.st_nlink == 1:
                publish_in(directory, target.part.name, name)
                return
        except FileExistsError:
            pass
        _compare(directory, target, measured)
        os.unlink(target.part.name, dir_fd=directory)
        fsync_directory(directory)
    finally:
        os.close(part)


def _has_name(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _compare(directory: int, target: Target, measured: Measured) -> None:
    """Find the measured bytes under the final name.

    Raises:
        NameTaken: there are others.
        FileNotFoundError: there is nothing.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    found = os.open(target.final.name, flags, dir_fd=directory)
    try:
        same = os.fstat(found).st_size == measured.size and measure(found) == measured
    finally:
        os.close(found)
    if not same:
        raise NameTaken(
            f"{target.final} is there with other bytes than the ones that were fetched.",
            remedy="Keep it, or move it away and have the model fetched again.",
        )


def link_existing(source: Path, target: Target, stop: threading.Event | None = None) -> bool:
    """Give the bytes of *source*, a file of this machine, the name of *target* as well.

    A hard link where both lie on one file system, else a copy that is read again before it gets
    its name.

    Returns:
        False where *source* is gone, cannot be read, or changed while it was copied.

    Raises:
        NameTaken: a file of that name has other bytes.
        Interrupted: *stop* was set.
        DiskFull, FolderNotWritable, DiskFailed
    """
    real = Path(os.path.realpath(source))
    try:
        if _linked(real, target):
            remove_part(target.part)
            return True
        copied = _copied(real, target, stop)
    except FileUnreadable:
        return False
    if copied is None:
        remove_part(target.part)
        return False
    publish_target(target, copied)
    return True


def _linked(real: Path, target: Target) -> bool:
    """Make a hard link; ``False`` where the file system or the kernel allows none."""
    os.close(open_regular(real))
    directory = _prepared(target)
    try:
        check_neighbors(directory, target.final.name, target.final)
        os.link(real, target.final.name, dst_dir_fd=directory, follow_symlinks=False)
        fsync_directory(directory)
    except FileExistsError:
        _compare(directory, target, measure(real))
    except OSError as error:
        if error.errno in NO_HARD_LINKS | {errno.EXDEV, errno.EACCES}:
            return False
        raise writing_failed(error, target.final) from error
    finally:
        os.close(directory)
    return True


def _prepared(target: Target) -> int:
    """Open the directory of the final name, made where it is missing."""
    try:
        make_directories(target.root)
    except OSError as error:
        raise writing_failed(error, target.root) from error
    return open_beneath(target.root, target.relative, create=True, also=target.also)


def _copied(real: Path, target: Target, stop: threading.Event | None) -> Measured | None:
    """Copy into the part and read it again; ``None`` where the source changed meanwhile."""
    descriptor = open_regular(real)
    try:
        before = stamp_of(os.fstat(descriptor))
        with open_part(target.part) as part:
            part.start_over()
            _check_room(before.size, target)
            copied = copy_into(part, descriptor, stop)
    except OSError as error:
        raise reading_failed(error, real) from error
    finally:
        os.close(descriptor)
    unchanged = look(real) == before
    return copied if unchanged and measure(target.part, stop=stop) == copied else None


def _check_room(size: int, target: Target) -> None:
    free = free_bytes(target.part.parent)
    if free < size:
        raise DiskFull(
            f"Copying {target.final.name} needs {size} bytes, {free} are free.",
            remedy=f"Free some space on the disk of {target.root}.",
        )


def quarantine(part: Path, why: str) -> Path:
    """Put what failed its checks aside, with a note why; nothing there is overwritten.

    Returns:
        Where it lies now: in `QUARANTINE` beside the part, under a name that no loader lists.

    Raises:
        FileUnreadable, FolderNotWritable, DiskFull, DiskFailed
    """
    aside = part.parent / QUARANTINE
    try:
        aside.mkdir(mode=0o755, exist_ok=True)
        here = os.open(part.parent, _DIRECTORY)
        try:
            there = os.open(aside, _DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            os.close(here)
            raise
        try:
            kept = _put_aside((here, part.name), there)
            note = os.open(f"{kept}.txt", os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644, dir_fd=there)
            with open(note, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
                file.write(f"{why}\n")
            fsync_directory(there)
        finally:
            os.close(there)
            os.close(here)
    except OSError as error:
        raise writing_failed(error, part) from error
    return aside / kept


def _put_aside(part: tuple[int, str], there: int) -> str:
    name = part[1].removeprefix(".").removesuffix(SUFFIX)
    number = 0
    while True:
        kept = f"{name}{f'-{number}' if number else ''}{SUFFIX}"
        try:
            move_new(part, (there, kept))
        except FileExistsError:
            number += 1
        else:
            return kept
