"""Settings, programs, ComfyUI."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from comfywatchman.comfyui import Layout
from comfywatchman.comfyui.asking import Inquiry
from comfywatchman.daemon.doctor.finding import (
    Finding,
    Findings,
    Subject,
    Verdict,
    skip,
    troubled,
    warn,
    well,
)
from comfywatchman.daemon.installation import locate


def versions(_subject: Subject) -> Findings:
    """Say what this is, for whoever reads a bug report."""
    yield well(
        "versions",
        f"comfywatchman {version('comfywatchman')}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.release()}",
        platform=platform.platform(),
        executable=sys.executable,
        container=Path("/.dockerenv").exists() or Path("/run/.containerenv").exists(),
        user_is_root=os.name == "posix" and os.geteuid() == 0,
    )


def settings(subject: Subject) -> Findings:
    loaded = subject.loaded
    if loaded is None:
        if subject.unread is not None:
            yield troubled("settings", subject.unread)
        return
    if loaded.path is None:
        yield well("settings", "There is no settings file; defaults and environment are in force.")
    else:
        yield well("settings", f"{loaded.path} is right.")
    for trouble in loaded.troubles:
        yield troubled("settings", trouble, Verdict.WARNING)


def comfyui(subject: Subject) -> Findings:
    """Say which ComfyUI is meant, and what of its configuration cannot be used."""
    assert subject.loaded is not None  # noqa: S101 - the check needs them
    place = subject.place or locate(subject.loaded.settings, subject.environ)
    origin = subject.loaded.origins["comfyui_root"]
    how = "found in a usual place" if origin == "default" else f"named by {origin.split()[0]}"
    yield well(
        "comfyui",
        f"{place.comfyui_root}, {how}.",
        base=place.layout.base,
        folders=len(place.layout.folders.table),
    )
    for name, root in _told_by_the_server(place.layout):
        yield well("comfyui", f"The server reads {name} from {root}: new files go there.")
    for trouble in place.layout.troubles:
        yield troubled("comfyui", trouble, Verdict.WARNING)


def _told_by_the_server(layout: Layout) -> Iterator[tuple[str, Path]]:
    """Yield the folders that files go to because a running server said so, and where to."""
    for name, folder in layout.folders.table.items():
        before = folder.write_root if layout.own is None else layout.own.folder(name).write_root
        if folder.write_root is not None and folder.write_root != before:
            yield name, folder.write_root


def server(subject: Subject) -> Findings:
    """Ask the ComfyUI server whether it is there, and whether it is the one that is meant."""
    assert subject.loaded is not None  # noqa: S101 - the check needs them
    url = subject.loaded.settings.comfyui.url
    if not url:
        yield skip("comfyui server", 'comfyui.url is "": no server is asked.')
        return
    running = Inquiry(url, probe_seconds=3.0).probe()
    if running is None:
        yield warn(
            "comfyui server",
            f"Nobody answers at {url}.",
            "Start ComfyUI, or set comfyui.url; models are placed without it as well.",
        )
        return
    yield well("comfyui server", f"ComfyUI {running.version} answers at {url}.")
    if subject.place is not None:
        yield from _another(subject.place.comfyui_root, running.argv)


def _another(root: Path, argv: tuple[str, ...]) -> Iterator[Finding]:
    """Say so where the server was started from another directory than the one that is watched."""
    program = Path(argv[0]) if argv else Path()
    if not program.is_absolute():
        return
    try:
        same = program.parent.samefile(root)
    except OSError:
        return  # in a container of its own, as a rule
    if not same:
        yield warn(
            "comfyui server",
            f"It was started from {program.parent}, and {root} is what is watched.",
            f"Set comfyui_root to {program.parent}, if that is the one you use.",
        )


def parsing(subject: Subject) -> Findings:
    """Have the child process that reads untrusted files read a small one."""
    from comfywatchman.daemon.parts import parser_for

    assert subject.loaded is not None  # noqa: S101 - the check needs them
    with TemporaryDirectory(prefix="comfywatchman-doctor-") as directory:
        file = Path(directory) / "workflow.json"
        file.write_text('{"nodes": [], "links": []}')
        with parser_for(subject.loaded.settings) as parser:
            trouble = parser.read(file).content.trouble
    if trouble is not None:
        yield troubled("reading workflows", trouble)
    else:
        yield well("reading workflows", "The child process that reads untrusted files works.")
