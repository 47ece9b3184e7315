"""What real programs do to files, and what is told about it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from watchdog.events import FileCreatedEvent

from comfywatchman.watch import observer
from comfywatchman.watch.notice import EVERYWHERE, Notice, Noticed
from tests.watch.conftest import Start, Watched

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what inotify tells")

QUEUE_LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")


def test_a_file_written_in_place_is_told(watching: Start, tmp_path: Path) -> None:
    watched = watching(tmp_path)
    (tmp_path / "a.json").write_text("{}")

    watched.wait_for(tmp_path / "a.json", Notice.CHANGED)


def test_a_save_by_rename_is_told_as_moved_here(watching: Start, tmp_path: Path) -> None:
    watched = watching(tmp_path)
    (tmp_path / "tmpabcdefgh").write_text("{}")
    (tmp_path / "tmpabcdefgh").replace(tmp_path / "a.json")

    watched.wait_for(tmp_path / "a.json", Notice.MOVED_HERE)
    assert Noticed(tmp_path / "tmpabcdefgh", Notice.REMOVED) in watched.told


def test_a_save_in_the_manner_of_vim_is_told(watching: Start, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("old")
    watched = watching(tmp_path)
    file.rename(tmp_path / "a.json~")
    file.write_text("new")
    (tmp_path / "a.json~").unlink()

    watched.wait_for(file, Notice.CHANGED)
    watched.wait_for(tmp_path / "a.json~", Notice.REMOVED)


def test_a_rename_from_outside_is_told_as_changed(watching: Start, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.write_text("{}")
    watched = watching(root)
    outside.rename(root / "a.json")

    watched.wait_for(root / "a.json", Notice.CHANGED)


def test_a_rename_out_and_a_deletion_are_told_as_removed(watching: Start, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").touch()
    (root / "b").touch()
    watched = watching(root)
    (root / "a").rename(tmp_path / "a")
    (root / "b").unlink()

    watched.wait_for(root / "a", Notice.REMOVED)
    watched.wait_for(root / "b", Notice.REMOVED)


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_a_link_is_told(watching: Start, tmp_path: Path, make: Any) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "a").touch()
    watched = watching(root)
    make(tmp_path / "a", root / "b")

    watched.wait_for(root / "b", Notice.CHANGED)


def test_a_chmod_a_touch_and_a_truncate_are_told(watching: Start, tmp_path: Path) -> None:
    names = ("mode", "time", "size")
    for name in names:
        (tmp_path / name).write_text("text")
    watched = watching(tmp_path)
    (tmp_path / "mode").chmod(0o600)
    os.utime(tmp_path / "time", (1, 1))
    os.truncate(tmp_path / "size", 1)

    for name in names:
        watched.wait_for(tmp_path / name, Notice.CHANGED)


def test_reading_tells_nothing(watching: Start, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"x" * 1000)
    watched = watching(tmp_path)
    (tmp_path / "a.safetensors").read_bytes()
    list(tmp_path.iterdir())

    assert watched.flush(tmp_path) == []


def test_our_part_files_and_our_quarantine_tell_nothing_but_their_final_name_does(
    watching: Start, tmp_path: Path
) -> None:
    quarantine = tmp_path / ".comfywatchman-quarantine"
    part = tmp_path / ".a.safetensors.0f1e.part"
    watched = watching(tmp_path)
    part.write_bytes(b"x")
    quarantine.mkdir()
    (quarantine / "b.safetensors").write_bytes(b"x")
    part.rename(tmp_path / "a.safetensors")

    assert watched.flush(tmp_path) == [Noticed(tmp_path / "a.safetensors", Notice.MOVED_HERE)]


def test_of_an_unpacked_archive_every_file_or_a_directory_above_it_is_told(
    watching: Start, tmp_path: Path
) -> None:
    source, root = tmp_path / "source", tmp_path / "root"
    root.mkdir()
    for number in range(200):
        file = source / f"d{number % 10}" / f"e{number % 3}" / f"{number}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    with tarfile.open(tmp_path / "archive.tar", "w") as archive:
        archive.add(source, "unpacked")
    watched = watching(root)
    subprocess.run(["tar", "-xf", tmp_path / "archive.tar", "-C", root], check=True)

    wanted = set((root / "unpacked").rglob("*.json"))
    watched.wait_until(lambda: wanted <= _reached(watched, wanted), "notice of every file")
    assert len(wanted) == 200


def test_a_directory_moved_in_is_told_with_everything_in_it(
    watching: Start, tmp_path: Path
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "a.safetensors").touch()
    root.mkdir()
    watched = watching(root)
    outside.rename(root / "loras")

    watched.wait_for(root / "loras", Notice.DIRECTORY_CHANGED)
    watched.wait_for(root / "loras" / "deep" / "a.safetensors", Notice.CHANGED)
    (root / "loras" / "deep" / "b.safetensors").touch()
    watched.wait_for(root / "loras" / "deep" / "b.safetensors", Notice.CHANGED)


def test_a_directory_moved_out_or_deleted_is_told(watching: Start, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("out", "deleted"):
        (root / name).mkdir(parents=True)
        (root / name / "a").touch()
    watched = watching(root)
    (root / "out").rename(tmp_path / "out")
    shutil.rmtree(root / "deleted")

    watched.wait_for(root / "out", Notice.DIRECTORY_CHANGED)
    watched.wait_for(root / "deleted", Notice.DIRECTORY_CHANGED)


def test_a_directory_renamed_within_is_told_under_both_names(
    watching: Start, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a").touch()
    watched = watching(tmp_path)
    (tmp_path / "old").rename(tmp_path / "new")

    watched.wait_for(tmp_path / "old", Notice.DIRECTORY_CHANGED)
    watched.wait_for(tmp_path / "new", Notice.DIRECTORY_CHANGED)
    watched.wait_for(tmp_path / "new" / "a", Notice.MOVED_HERE)


def test_names_that_are_no_utf8_are_told(watching: Start, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.json")
    watched = watching(tmp_path)
    odd.touch()

    watched.wait_for(odd, Notice.CHANGED)


class Refusing(SimpleQueue[Noticed]):
    """A queue that fails as often as it is told to."""

    refuse = 0

    def put(self, item: Noticed, block: bool = True, timeout: float | None = None) -> None:
        if self.refuse:
            self.refuse -= 1
            raise ValueError("the queue refuses")
        super().put(item, block, timeout)


def test_a_queue_that_raises_does_not_end_the_thread(watching: Start, tmp_path: Path) -> None:
    queue = Refusing()
    watched = watching(tmp_path, news=queue)
    queue.refuse = 1
    (tmp_path / "lost").mkdir()
    (tmp_path / "a.json").touch()

    watched.wait_for(tmp_path / "a.json", Notice.CHANGED)
    assert watched.watcher.failures() == 1


def test_the_same_news_wait_only_once(watching: Start, tmp_path: Path) -> None:
    watched = watching(tmp_path)
    with (tmp_path / "a.safetensors").open("wb", buffering=0) as file:
        for _ in range(500):
            file.write(b"x")
            os.fsync(file.fileno())

    assert len(watched.flush(tmp_path)) < 20


def test_more_news_than_anybody_takes_become_one_wish_for_a_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(observer, "MOST_WAITING", 50)
    news: SimpleQueue[Noticed] = SimpleQueue()
    forward = observer._Forward(news)
    forward.places = (("/real", "/models"),)
    for number in range(300):
        forward.dispatch(FileCreatedEvent(f"/real/{number}"))
    told = [news.get() for _ in range(news.qsize())]
    forward.dispatch(FileCreatedEvent("/real/after"))

    assert told[:-1] == [Noticed(Path(f"/models/{n}"), Notice.CHANGED) for n in range(50)]
    assert told[-1] == Noticed(EVERYWHERE, Notice.OVERFLOW)
    assert news.get() == Noticed(Path("/models/after"), Notice.CHANGED)


@pytest.mark.skipif(not os.access(QUEUE_LIMIT, os.W_OK), reason="needs to set a sysctl")
def test_a_queue_overflow_in_the_kernel_is_told(watching: Start, tmp_path: Path) -> None:
    before = QUEUE_LIMIT.read_text()
    try:
        QUEUE_LIMIT.write_text("20")
        watched = watching(tmp_path)
    finally:
        QUEUE_LIMIT.write_text(before)
    _burst(tmp_path, watched)

    watched.wait_for(EVERYWHERE, Notice.OVERFLOW)
    assert watched.watcher.overflows() > 0
    assert watched.answered()
    (tmp_path / "after").touch()
    watched.wait_for(tmp_path / "after", Notice.CHANGED)


def _burst(directory: Path, watched: Watched) -> None:
    """Create files in another process faster than they can be read, until the kernel gives up."""
    program = (
        "import os,sys\n"
        "for n in range(20000):\n"
        "    os.close(os.open(f'{sys.argv[1]}/{n}', os.O_CREAT | os.O_WRONLY))\n"
    )
    subprocess.run([sys.executable, "-c", program, directory], check=True)


def _reached(watched: Watched, wanted: set[Path]) -> set[Path]:
    """Return the paths that were told, or lie in a directory that a notice says to sweep."""
    files = {noticed.path for noticed in watched.told if noticed.kind is Notice.CHANGED}
    swept = {noticed.path for noticed in watched.told if noticed.kind is Notice.DIRECTORY_CHANGED}
    return {path for path in wanted if path in files or not swept.isdisjoint(path.parents)}
