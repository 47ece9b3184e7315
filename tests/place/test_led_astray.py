"""Names, aliases, links and mounts that would lead a file to where none is placed."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from comfywatchman.comfyui.layout import read_layout
from comfywatchman.domain.errors import UnknownFolder, UnsafeName, WatchmanError
from comfywatchman.domain.files import Folder, Folders, Measured
from comfywatchman.place import Target, plan, publish_target, staged

DATA = b"the bytes of a model"
MEASURED = Measured(len(DATA), "f" * 64)
NAME = "a.safetensors"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "ComfyUI"
    for name in ("models/loras", "models/configs", "custom_nodes/pack/models"):
        (made / name).mkdir(parents=True)
    return made


def folders(root: Path, **places: Path) -> Folders:
    """Return a table with the loras, and with *places* as further folders."""
    models = root / "models"
    table = {"loras": Folder("loras", (models / "loras",), write_root=models / "loras")}
    table |= {name: Folder(name, (path,), write_root=path) for name, path in places.items()}
    return Folders(root, models, table)


def bring(target: Target) -> Path:
    with staged(target) as part:
        part.append(DATA)
        return publish_target(target, part, MEASURED)


@pytest.mark.parametrize("where", ["models/configs", "custom_nodes", "custom_nodes/pack/models"])
@pytest.mark.parametrize("alias", ["table", "link", "link to a part of it", "name"])
def test_code_and_settings_are_out_of_reach_by_every_alias(
    root: Path, where: str, alias: str
) -> None:
    place, name = root / where, NAME
    (place / "below").mkdir()
    match alias:
        case "link":
            place = root / "models/alias"
            place.symlink_to(root / where)
        case "link to a part of it":
            place = root / "models/alias"
            place.symlink_to(root / where / "below")
        case "name":
            place, name = root, f"{where}/{NAME}"
        case _:
            assert alias == "table"
    table = folders(root, sneaky=place)

    with pytest.raises(UnknownFolder):
        plan(table, "sneaky", name, "x")


def test_a_directory_of_code_that_a_yaml_file_names_is_one_as_well(
    root: Path, tmp_path: Path
) -> None:
    nodes = tmp_path / "elsewhere/nodes"
    nodes.mkdir(parents=True)
    (root / "main.py").touch()
    (root / "extra_model_paths.yaml").write_text(
        f"mine:\n  base_path: {tmp_path}\n  custom_nodes: elsewhere/nodes\n"
        "  loras: elsewhere/nodes\n  is_default: true\n"
    )
    layout = read_layout(root)

    assert layout.folders.folder("loras").write_root == nodes
    with pytest.raises(UnknownFolder):
        plan(layout.folders, "loras", NAME, "x")


def test_a_linked_subdirectory_leads_to_no_code_even_where_it_lies_below_a_model_root(
    root: Path,
) -> None:
    (root / "models/loras/sub").symlink_to(root / "custom_nodes/pack/models")
    table = folders(root, everything=root)  # somebody's table has the whole tree as a root

    with pytest.raises(WatchmanError):
        plan(table, "loras", f"sub/{NAME}", "x")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_second_mount_of_the_code_is_known_by_what_it_is(root: Path) -> None:
    (root / "models/loras/sub").mkdir()
    command = ["mount", "--bind", str(root / "custom_nodes/pack"), str(root / "models/loras/sub")]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no bind mounts here")
    try:
        # The kernel's way up from a mount leads past the code, so only its own identity tells.
        subprocess.run(["umount", str(root / "models/loras/sub")], check=True)
        command[2] = str(root / "custom_nodes")
        subprocess.run(command, check=True)
        with pytest.raises(UnknownFolder):
            plan(folders(root), "loras", f"sub/{NAME}", "x")
    finally:
        subprocess.run(["umount", str(root / "models/loras/sub")], check=True)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000, 0o002])
def test_a_placed_file_is_0644_under_the_umask_and_never_executable(root: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        final = bring(plan(folders(root), "loras", f"new/{NAME}", "x"))
    finally:
        os.umask(before)

    assert stat.S_IMODE(final.stat().st_mode) == 0o644 & ~umask
    assert stat.S_IMODE(final.parent.stat().st_mode) == 0o755 & ~umask


# -- somebody who swaps a directory for a link while we work


@contextmanager
def swapping(real: Path, outside: Path) -> Iterator[list[int]]:
    """Have a thread exchange the directory *real* with a link to *outside*, to and fro."""
    ended, count = threading.Event(), [0]
    link = real.with_name("link")
    link.symlink_to(outside)

    def swap() -> None:
        while not ended.is_set() or real.is_symlink():
            exchange(real, link)
            count[0] += 1

    thread = threading.Thread(target=swap, daemon=True)
    thread.start()
    try:
        yield count
    finally:
        ended.set()
        thread.join()


def exchange(one: Path, other: Path) -> None:
    """Swap two names in one step. Source: renameat2(2), RENAME_EXCHANGE."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(one), os.fsencode(other))
    if libc.renameat2(-100, names[0], -100, names[1], 2) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def try_often(root: Path, outside: Path, seconds: float) -> tuple[int, int]:
    """Plan, fetch and place again and again; return how often it was tried, and done."""
    tried = placed = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        tried += 1
        try:
            final = bring(plan(folders(root), "loras", f"sub/{tried}.safetensors", "x"))
        except (WatchmanError, UnsafeName):
            continue
        placed += 1
        # Looked at by its inode: the way there may lead elsewhere at this moment.
        assert final.name == f"{tried}.safetensors"
    return tried, placed


@pytest.mark.skipif(sys.platform != "linux", reason="names are exchanged as Linux does it")
@pytest.mark.parametrize("seconds", [3.0, pytest.param(60.0, marks=pytest.mark.trial)])
def test_nothing_is_ever_written_outside_while_somebody_swaps_links(
    root: Path, tmp_path: Path, seconds: float
) -> None:
    sub, outside = root / "models/loras/sub", tmp_path / "outside"
    sub.mkdir()
    outside.mkdir()
    before = outside.stat().st_mtime_ns

    with swapping(sub, outside) as swaps:
        tried, placed = try_often(root, outside, seconds)

    print(f"{tried} tries, {placed} placed, {swaps[0]} swaps")  # noqa: T201 - for `make trial`
    assert list(outside.iterdir()) == []
    assert outside.stat().st_mtime_ns == before  # nothing was made there and taken away
    assert placed > 0
    assert swaps[0] > 100
