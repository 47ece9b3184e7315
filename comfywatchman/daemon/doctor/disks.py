"""The directories: readable, writable, on which file system, with how much room; watch limits.

Nothing is written below a model directory: whether one could is asked of the system.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from comfywatchman.daemon.doctor.finding import (
    Finding,
    Findings,
    Subject,
    fail,
    skip,
    warn,
    well,
)
from comfywatchman.report.render.words import size_words
from comfywatchman.watch.kernel import inotify_limit, mount_of, mounts

_MOST_DIRECTORIES = 500_000


def workflows(subject: Subject) -> Findings:
    assert subject.place is not None  # noqa: S101 - the check needs it
    for path in subject.place.workflow_dirs:
        if not path.is_dir():
            yield warn(
                "workflow directory",
                f"{path} is not there.",
                "ComfyUI makes it at its first start; else correct workflow_dirs.",
            )
        elif not os.access(path, os.R_OK | os.X_OK):
            yield fail(
                "workflow directory", f"{path} cannot be read.", _rights(path, "read and enter")
            )
        else:
            yield well("workflow directory", f"{path} can be read.", **_lies_on(path))


def models(subject: Subject) -> Findings:
    """Look at every directory of models that is there, and at each where one would be placed."""
    assert subject.place is not None  # noqa: S101 - the check needs it
    folders = subject.place.layout.folders
    named = {root: name for name, folder in folders.table.items() for root in folder.roots}
    written = {folder.write_root for folder in folders.table.values() if folder.write_root}
    looked = 0
    for root in sorted({*folders.roots(), *written}):
        if not os.path.lexists(root):
            continue
        looked += 1
        yield _model_directory(root, named.get(root, ""), placed=root in written)
    if not looked:
        yield fail(
            "model directory",
            f"None of the {len(named)} directories that ComfyUI looks in is there.",
            "Look whether comfyui_root and extra_model_paths.yaml name the right places.",
        )


def _model_directory(root: Path, name: str, *, placed: bool) -> Finding:
    folder = f"({name})" if name else "(several folders)"
    if not root.is_dir():
        what = "a link that leads nowhere" if root.is_symlink() else "no directory"
        return fail(
            "model directory",
            f"{root} {folder} is {what}.",
            "Plug in or mount what it leads to, or take it away.",
        )
    if not os.access(root, os.R_OK | os.X_OK):
        return fail(
            "model directory",
            f"{root} {folder} cannot be read.",
            _rights(root, "read and enter"),
        )
    facts = {"folder": name, **_lies_on(root)}
    if not placed:
        return well("model directory", f"{root} {folder} can be read.", **facts)
    if os.statvfs(root).f_flag & os.ST_RDONLY:
        return warn(
            "model directory",
            f"{root} {folder} lies on a file system that is mounted read-only.",
            "Mount it for writing, or name another directory for that folder (model_directories).",
            **facts,
        )
    if not os.access(root, os.W_OK | os.X_OK):
        return fail(
            "model directory",
            f"{root} {folder} cannot be written by this user.",
            _rights(root, "write"),
            **facts,
        )
    return well("model directory", f"{root} {folder} can be read and written.", **facts)


def _rights(path: Path, verb: str) -> str:
    status = path.stat()
    return (
        f"Let user {os.geteuid()} {verb} there; it belongs to {status.st_uid}:{status.st_gid}, "
        f"mode {status.st_mode & 0o777:03o}. Where the service runs as another user, call doctor "
        "as that one."
    )


def _lies_on(path: Path) -> dict[str, object]:
    """Return the file system of *path*, and what that means for watching it."""
    mount = mount_of(Path(os.path.realpath(path)), mounts())
    if mount is None:
        return {}
    return {"file_system": mount.type, "mount": mount.path, "notifies": not mount.blind}


def room(subject: Subject) -> Findings:
    """Compare what is free on each volume with what a download has to leave."""
    assert subject.loaded is not None  # noqa: S101 - the check needs them
    wanted = subject.loaded.settings.download.min_free_bytes
    seen: set[int] = set()
    for path in _written(subject):
        status = path.stat()
        if status.st_dev in seen:
            continue
        seen.add(status.st_dev)
        yield _volume(path, wanted)
    if not seen:
        yield skip("free space", "No directory to write to is there.")


def _written(subject: Subject) -> Iterator[Path]:
    assert subject.loaded is not None  # noqa: S101 - as above
    places = [subject.loaded.settings.state.directory]
    if subject.place is not None:
        table = subject.place.layout.folders.table.values()
        places += [folder.write_root for folder in table if folder.write_root]
    for place in places:
        if place.is_dir():
            yield place


def _volume(path: Path, wanted: int) -> Finding:
    volume = os.statvfs(path)
    free = volume.f_bavail * volume.f_frsize
    facts = {"free_bytes": free, "size_bytes": volume.f_blocks * volume.f_frsize}
    if volume.f_files and volume.f_favail < 100:
        return fail(
            "free space",
            f"The volume of {path} has no inode left for another file.",
            "Remove small files there.",
            **facts,
        )
    said = f"{size_words(free)} free on the volume of {path}"
    if free < wanted:
        return warn(
            "free space",
            f"{said}; a download leaves {size_words(wanted)} free, so none can begin.",
            "Make room, or lower download.min_free_bytes.",
            **facts,
        )
    return well("free space", f"{said}.", **facts)


def watches(subject: Subject) -> Findings:
    """Compare how many directories there are with how many the kernel lets us watch."""
    assert subject.place is not None  # noqa: S101 - the check needs it
    allowed = inotify_limit("max_user_watches")
    if not allowed:
        yield skip("watch limits", "This system has no limit that can be read.")
        return
    roots = [*subject.place.layout.folders.roots(), *subject.place.workflow_dirs]
    needed = _directories(roots)
    facts = {
        "directories": needed,
        "max_user_watches": allowed,
        "max_user_instances": inotify_limit("max_user_instances"),
        "max_queued_events": inotify_limit("max_queued_events"),
    }
    if needed > allowed:
        yield fail("watch limits", _TOO_MANY.format(needed, allowed), _raise(needed), **facts)
    elif needed * 2 > allowed:
        yield warn("watch limits", _TOO_MANY.format(needed, allowed), _raise(needed), **facts)
    else:
        yield well(
            "watch limits", f"{needed} directories of {allowed} that may be watched.", **facts
        )
    blind = Counter(
        str(kind["file_system"])
        for kind in map(_lies_on, filter(Path.is_dir, roots))
        if kind.get("notifies") is False
    )
    for kind, count in blind.items():
        yield warn(
            "watch limits",
            f"{count} of the directories lie on {kind}, which does not tell every change.",
            "Nothing has to be done: they are looked at every watch.polling_seconds.",
        )


_TOO_MANY = "{} directories are to be watched, and the kernel allows {} for all programs of a user."


def _raise(needed: int) -> str:
    return (
        f"sysctl fs.inotify.max_user_watches={needed * 4}, and the same line in "
        "/etc/sysctl.d/; meanwhile the rest is swept."
    )


def _directories(roots: Sequence[Path]) -> int:
    count = 0
    for root in {Path(os.path.realpath(root)) for root in roots}:
        for _ in os.walk(root):
            count += 1
            if count >= _MOST_DIRECTORIES:
                return count
    return count
