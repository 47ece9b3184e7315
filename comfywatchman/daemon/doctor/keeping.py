"""What is kept: the state directory, its database, the audit log, and what was left behind."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

from comfywatchman.daemon.doctor.finding import (
    Finding,
    Findings,
    Subject,
    fail,
    skip,
    warn,
    well,
)
from comfywatchman.disk.walk import QUARANTINE
from comfywatchman.pipeline.leftovers import is_part, parts_of_all
from comfywatchman.report.audit_chain import FILE, verify
from comfywatchman.report.render.words import size_words
from comfywatchman.state.soundness import soundness
from comfywatchman.state.store import open_reader
from comfywatchman.watch.kernel import mount_of, mounts

_OVER_NETWORK = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "fuse.rclone", "ceph", "glusterfs")


def state_directory(subject: Subject) -> Findings:
    directory = _directory(subject)
    if not directory.exists():
        yield skip("state", f"{directory} is not there yet: the daemon makes it.")
        return
    try:
        with TemporaryFile(dir=directory) as file:
            file.write(b"doctor")
    except OSError as error:
        yield fail(
            "state",
            f"{directory} cannot be written: {error.strerror}.",
            "Make room or give the user of the daemon the right to write there, or name another "
            "place with state.directory.",
        )
        return
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        cause = f"{directory} can be written by others (mode {mode:03o})."
        yield warn("state", cause, f"chmod 700 {directory}")
    mount = mount_of(Path(os.path.realpath(directory)), mounts())
    if mount is not None and mount.type.startswith(_OVER_NETWORK):
        yield fail(
            "state",
            f"{directory} lies on {mount.type}: the database needs a local disk.",
            "Name a local directory with state.directory.",
        )
        return
    yield well("state", f"{directory} can be written.", file_system=mount.type if mount else "")


def database(subject: Subject) -> Findings:
    """Read all of it, and compare its version with ours."""
    found = soundness(_directory(subject))
    if found is None:
        yield skip("database", "There is none yet: the daemon makes it.")
    elif found.complaints:
        yield fail(
            "database",
            f"{found.path} is damaged: {found.complaints[0]}",
            "Start the daemon again: it saves what can be read of it, sets it aside and makes a "
            "new one; all but the history is found again by a sweep.",
            complaints=list(found.complaints),
        )
    elif found.newer:
        yield fail(
            "database",
            f"{found.path} was written by a newer version (revision {found.revision}).",
            "Install that version, or a later one.",
        )
    elif found.revision is None:
        yield fail(
            "database",
            f"{found.path} holds no tables of ours.",
            "Stop the daemon and move the file away.",
        )
    else:
        later = "" if found.current else "; it is brought up to date at the next start"
        yield well(
            "database",
            f"Sound, {size_words(found.size)}, revision {found.revision}{later}.",
            size_bytes=found.size,
            revision=found.revision,
        )


def audit(subject: Subject) -> Findings:
    directory = _directory(subject)
    if not (directory / FILE).exists():
        yield skip("audit log", "There is none yet: nothing was done so far.")
        return
    found = verify(directory)
    if found.sound:
        yield well("audit log", f"{found.lines} lines, as they were written.")
        return
    first = found.breaks[0]
    yield fail(
        "audit log",
        f"Line {first.line}: {first.problem}.",
        "See all of it with `comfywatchman audit verify`; find out who changed the file.",
        breaks=len(found.breaks),
    )


def leftovers(subject: Subject) -> Findings:
    """Name what lies around that nobody needs: parts without a job, quarantine, old copies."""
    assert subject.place is not None  # noqa: S101 - the check needs it
    found = list(_left(subject))
    yield from found
    if not found:
        yield well("leftovers", "Nothing was left behind.")


def _left(subject: Subject) -> Iterator[Finding]:
    assert subject.place is not None  # noqa: S101 - as above
    needed = _needed(subject)
    parts: list[Path] = []
    aside: list[Path] = []
    for root in subject.place.layout.folders.roots():
        for directory, _, names in os.walk(root):
            here = Path(directory)
            if here.name == QUARANTINE:
                aside += [here / name for name in names]
            else:
                parts += [here / n for n in names if is_part(n) and here / n not in needed]
    if parts:
        yield warn(
            "leftovers",
            f"{len(parts)} parts of downloads that no job goes on with, {_size(parts)}.",
            "A running daemon removes them a week after they were last written.",
            files=parts[:20],
        )
    if aside:
        yield warn(
            "leftovers",
            f"{len(aside)} files in quarantine, {_size(aside)}: their bytes were not the promised "
            "ones.",
            "A running daemon removes them after download.quarantine_days.",
            files=aside[:20],
        )
    copies = sorted(_directory(subject).glob("*.before-*"))
    if copies:
        yield well(
            "leftovers",
            f"{len(copies)} copies of the database from before an upgrade, {_size(copies)}; those "
            "of versions you do not go back to can go.",
            files=copies,
        )


def _needed(subject: Subject) -> frozenset[Path]:
    assert subject.place is not None  # noqa: S101 - as above
    reader = open_reader(_directory(subject))
    if reader is None:
        return frozenset()
    try:
        with reader.connect() as connection:
            return frozenset(parts_of_all(connection, subject.place.layout.folders))
    finally:
        reader.close()


def _size(files: list[Path]) -> str:
    total = 0
    for file in files:
        try:
            total += file.stat().st_size
        except OSError:
            continue  # gone meanwhile
    return size_words(total) or "0 bytes"


def _directory(subject: Subject) -> Path:
    assert subject.loaded is not None  # noqa: S101 - each check here needs them
    return subject.loaded.settings.state.directory
