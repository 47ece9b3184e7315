from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from comfywatchman.disk.half_linked import leftovers, remove_leftover
from comfywatchman.disk.linking import SUFFIX, How, link_equal, staged_name
from comfywatchman.domain.errors import Interrupted, LinkRefused
from comfywatchman.domain.files import Stamp

DATA = bytes(range(256)) * 20_000


def two(tmp_path: Path, data: bytes = DATA, other: bytes | None = None) -> tuple[Path, Path]:
    kept, path = tmp_path / "kept.safetensors", tmp_path / "sub/copy.safetensors"
    path.parent.mkdir()
    kept.write_bytes(data)
    path.write_bytes(data if other is None else other)
    os.utime(kept, ns=(10**18, 10**18))
    os.utime(path, ns=(2 * 10**18, 2 * 10**18))
    return kept, path


def hidden(directory: Path) -> list[str]:
    return [path.name for path in directory.rglob("*") if path.name.endswith(SUFFIX)]


def refused(kept: Path, path: Path, how: How = "hard") -> str:
    before = (path.read_bytes(), os.lstat(path).st_ino)
    with pytest.raises(LinkRefused) as caught:
        link_equal(kept, path, how)

    assert (path.read_bytes(), os.lstat(path).st_ino) == before
    assert hidden(kept.parent) == []
    return caught.value.cause


def test_two_equal_files_become_one(tmp_path: Path) -> None:
    kept, path = two(tmp_path)
    linked = link_equal(kept, path, "hard")

    assert kept.stat().st_ino == path.stat().st_ino
    assert path.read_bytes() == DATA
    assert linked.measured.size == len(DATA)
    assert (linked.was.mtime_ns, linked.now.mtime_ns) == (2 * 10**18, 10**18)
    status = path.stat()
    assert (
        linked.stamp
        == linked.kept_stamp
        == Stamp(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )
    )
    assert hidden(tmp_path) == []


def test_other_bytes_of_the_same_length_are_not_linked(tmp_path: Path) -> None:
    flipped = bytearray(DATA)
    flipped[-1] ^= 1

    assert "bytes differ" in refused(*two(tmp_path, DATA, bytes(flipped)))


def test_what_is_one_file_already_is_left(tmp_path: Path) -> None:
    kept, path = two(tmp_path)
    path.unlink()
    os.link(kept, path)

    assert "one file already" in refused(kept, path)


def test_a_symbolic_link_is_left(tmp_path: Path) -> None:
    kept, path = two(tmp_path)
    third = tmp_path / "third.safetensors"
    path.rename(third)
    path.symlink_to(third)

    assert "symbolic link" in refused(kept, path)


def test_a_read_only_file_and_one_of_another_mode_are_left(tmp_path: Path) -> None:
    kept, path = two(tmp_path)
    path.chmod(0o600)
    modes = refused(kept, path)
    path.chmod(0o444)

    assert "mode" in modes
    assert "read-only" in refused(kept, path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_files_of_different_owners_are_left(tmp_path: Path) -> None:
    kept, path = two(tmp_path)
    os.chown(path, 12345, 12345)

    assert "owners" in refused(kept, path)


def test_files_of_different_attributes_are_left(tmp_path: Path) -> None:
    kept, path = two(tmp_path)
    try:
        os.setxattr(path, "user.note", b"mine")
    except OSError:
        pytest.skip("no extended attributes here")

    assert "attributes" in refused(kept, path)


def test_files_on_different_file_systems_are_left(tmp_path: Path) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("only one file system here")
    path = two(tmp_path)[1]
    other = shm / f"comfywatchman-{os.getpid()}"
    other.write_bytes(DATA)
    try:
        assert "file systems" in refused(other, path)
    finally:
        other.unlink()


@pytest.mark.parametrize("which", ["kept", "path"])
def test_a_file_that_is_open_for_writing_is_left(tmp_path: Path, which: str) -> None:
    kept, path = two(tmp_path)
    with (kept if which == "kept" else path).open("r+b"):
        assert "open for writing" in refused(kept, path)


def test_a_writer_that_comes_while_they_are_read_gets_the_file_at_once(tmp_path: Path) -> None:
    kept, path = two(tmp_path)
    opened: list[float] = []
    began = threading.Event()

    def write() -> None:
        began.wait(10)
        started = time.monotonic()
        with path.open("r+b") as file:
            file.write(b"news")
        opened.append(time.monotonic() - started)

    writer = threading.Thread(target=write)
    writer.start()

    def slowly(_done: int) -> None:
        began.set()
        time.sleep(0.05)

    with pytest.raises(LinkRefused):
        link_equal(kept, path, "hard", on_block=slowly)
    writer.join(20)

    assert opened[0] < 5
    assert path.read_bytes()[:4] == b"news"
    assert kept.read_bytes() == DATA


def meanwhile(change: Callable[[], object], at: str) -> Callable[[str], None]:
    def step(name: str) -> None:
        if name == at:
            change()

    return step


@pytest.mark.parametrize("at", ["link", "check"])
def test_one_that_is_replaced_meanwhile_is_left(tmp_path: Path, at: str) -> None:
    for which in ("kept", "path"):
        (tmp_path / which).mkdir()
        kept, path = two(tmp_path / which)
        new = tmp_path / "new"
        new.write_bytes(b"new")
        target = kept if which == "kept" else path
        with pytest.raises(LinkRefused):
            link_equal(kept, path, "hard", step=meanwhile(lambda: new.replace(target), at))  # noqa: B023 - called in this turn

        assert target.read_bytes() == b"new"
        assert hidden(tmp_path) == []


def test_a_writer_in_the_last_moment_finds_its_file_under_its_name_again(tmp_path: Path) -> None:
    """It opened the file before the exchange, and is kept waiting by the lease until after it."""
    kept, path = two(tmp_path)
    writer = threading.Thread(target=lambda: path.open("r+b").close())

    def begin() -> None:
        writer.start()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and "fcntl" not in _waits():
            time.sleep(0.01)

    def _waits() -> str:
        locks = Path("/proc/locks").read_text()
        inode = path.stat().st_ino
        return "fcntl" if f":{inode} " in locks and "BREAKING" in locks else ""

    with pytest.raises(LinkRefused) as caught:
        link_equal(kept, path, "hard", step=meanwhile(begin, "exchange"))
    writer.join(20)

    assert "opened it for writing" in caught.value.cause
    assert kept.stat().st_ino != path.stat().st_ino
    assert hidden(tmp_path) == []


def test_reading_can_be_ended(tmp_path: Path) -> None:
    kept, path = two(tmp_path)
    stop = threading.Event()
    stop.set()

    with pytest.raises(Interrupted):
        link_equal(kept, path, "hard", stop=stop)
    assert hidden(tmp_path) == []


def shares_blocks(directory: Path) -> bool:
    one, other = directory / "one", directory / "other"
    one.write_bytes(b"x" * 4096)
    with one.open("rb") as source, other.open("wb") as target:
        try:
            fcntl.ioctl(target, 0x40049409, source.fileno())
        except OSError:
            return False
        finally:
            one.unlink()
            other.unlink()
    return True


def test_where_blocks_cannot_be_shared_it_is_said_and_nothing_is_changed(tmp_path: Path) -> None:
    if shares_blocks(tmp_path):
        pytest.skip("this file system can")

    assert "reflink" in refused(*two(tmp_path), how="reflink")


def test_where_blocks_can_be_shared_mode_and_time_stay(tmp_path: Path) -> None:
    if not shares_blocks(tmp_path):
        pytest.skip("this file system cannot")
    kept, path = two(tmp_path)
    path.chmod(0o600)
    linked = link_equal(kept, path, "reflink")

    assert kept.stat().st_ino != path.stat().st_ino
    assert linked.was == linked.now
    assert path.read_bytes() == DATA


def test_a_long_name_has_a_hidden_name_that_fits() -> None:
    assert len(os.fsencode(staged_name("é" * 120 + ".safetensors"))) <= 255


# -- what a crash leaves


STEPS = ("measure", "link", "check", "exchange", "remove", "sync")

_CHILD = """
import os, signal, sys
from pathlib import Path
from comfywatchman.disk.linking import link_equal

def step(name):
    if name == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

link_equal(Path(sys.argv[1]), Path(sys.argv[2]), "hard", step=step)
"""


@pytest.mark.parametrize("at", STEPS)
def test_killed_before_any_step_every_name_is_whole(tmp_path: Path, at: str) -> None:
    kept, path = two(tmp_path)
    child = subprocess.run([sys.executable, "-c", _CHILD, kept, path, at], check=False)

    assert child.returncode == -signal.SIGKILL
    assert (kept.read_bytes(), path.read_bytes()) == (DATA, DATA)
    for left in leftovers(path.parent):
        assert remove_leftover(left)
    assert hidden(tmp_path) == []
    assert (kept.read_bytes(), path.read_bytes()) == (DATA, DATA)


_LOOP = """
import os, sys
from pathlib import Path
from comfywatchman.disk.linking import link_equal

kept, path = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
while True:
    if kept.stat().st_ino == path.stat().st_ino:
        copy = path.with_name(".fresh")
        copy.write_bytes(kept.read_bytes())
        os.replace(copy, path)
    link_equal(kept, path, "hard")
"""


def killed(rounds: int, tmp_path: Path, seed: int) -> tuple[int, int]:
    """Kill a process that links without pause; return broken names and leftovers that stayed."""
    chance = random.Random(seed)
    kept, path = two(tmp_path, DATA[:300_000])
    wanted = kept.read_bytes()
    broken = stayed = 0
    for _ in range(rounds):
        child = subprocess.Popen(
            [sys.executable, "-c", _LOOP, kept, path], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.random() * 0.03)
        child.kill()
        child.wait()
        child.stdout.close()
        broken += kept.read_bytes() != wanted or path.read_bytes() != wanted
        for left in leftovers(path.parent):
            stayed += not remove_leftover(left)
    return broken, stayed


def test_killed_at_any_moment_every_name_is_whole(tmp_path: Path) -> None:
    assert killed(12, tmp_path, 1) == (0, 0)


@pytest.mark.trial
def test_killed_a_thousand_times_every_name_is_whole(tmp_path: Path) -> None:
    assert killed(1000, tmp_path, 2) == (0, 0)


def test_who_reads_meanwhile_always_finds_the_whole_file(tmp_path: Path) -> None:
    kept, path = two(tmp_path, DATA[:300_000])
    wanted = kept.read_bytes()
    reading, wrong = threading.Event(), []

    def read() -> None:
        while not reading.is_set():
            try:
                wrong.extend([1] if path.read_bytes() != wanted else [])
            except OSError as error:
                wrong.append(error.errno or 1)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(100):
        link_equal(kept, path, "hard")
        copy = tmp_path / "fresh"
        copy.write_bytes(wanted)
        copy.replace(path)
    reading.set()
    reader.join(20)

    assert wrong == []


def test_a_leftover_whose_bytes_are_nowhere_else_stays(tmp_path: Path) -> None:
    kept, path = two(tmp_path)
    left = path.with_name(staged_name(path.name))
    left.write_bytes(DATA[:-1] + b"?")

    assert leftovers(path.parent) == [left]
    assert not remove_leftover(left)
    assert left.exists()
    assert kept.exists()
