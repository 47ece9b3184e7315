from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from comfywatchman.domain.errors import BeingFetched, DiskFull, FolderNotWritable, NameTaken
from tests.disk.parts import opened

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounting and changing owners need root")


def test_a_part_keeps_what_an_earlier_try_wrote(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / ".x.part"
    with opened(path) as part:
        part.append(b"abc")
    with opened(path) as part:
        assert part.size == 3
        part.append(b"def")

    assert path.read_bytes() == b"abcdef"


def test_starting_over_forgets_all_bytes(tmp_path: Path) -> None:
    with opened(tmp_path / ".x.part") as part:
        part.append(b"abc")
        part.start_over()
        part.append(b"x")

    assert (tmp_path / ".x.part").read_bytes() == b"x"


def test_two_processes_never_write_one_part(tmp_path: Path) -> None:
    with opened(tmp_path / ".x.part"), pytest.raises(BeingFetched) as caught:  # noqa: SIM117 - see below
        with opened(tmp_path / ".x.part"):  # another descriptor is another owner of the lock
            pass

    assert caught.value.retryable


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from tests.disk.parts import opened\n"
        "with opened(Path(sys.argv[1])):\n"
        "    print('locked', flush=True); time.sleep(60)\n"
    )
    path = tmp_path / ".x.part"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(BeingFetched), opened(path):
            pass
        other.send_signal(signal.SIGKILL)

    with opened(path) as part:
        assert part.size == 0


@pytest.mark.parametrize("kind", ["link", "dead link", "directory", "pipe"])
def test_what_is_no_file_of_ours_is_never_written(tmp_path: Path, kind: str) -> None:
    path, theirs = tmp_path / ".x.part", tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    match kind:
        case "link":
            path.symlink_to(theirs)
        case "dead link":
            path.symlink_to(tmp_path / "made by nobody")
        case "directory":
            path.mkdir()
        case _:
            os.mkfifo(path)

    with pytest.raises(NameTaken), opened(path):
        pass

    assert theirs.read_bytes() == b"theirs"
    assert not (tmp_path / "made by nobody").exists()


@ROOT
def test_a_file_of_somebody_else_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / ".x.part"
    path.write_bytes(b"theirs")
    os.chown(path, 12345, 12345)

    with pytest.raises(NameTaken, match="somebody else"), opened(path):
        pass

    assert path.read_bytes() == b"theirs"


def test_a_part_that_has_its_final_name_too_is_let_go_of(tmp_path: Path) -> None:
    final, path = tmp_path / "x", tmp_path / ".x.part"
    final.write_bytes(b"placed")
    path.hardlink_to(final)

    with opened(path) as part:
        part.append(b"new")

    assert final.read_bytes() == b"placed"
    assert path.read_bytes() == b"new"


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of two megabytes; taken away by the test's own mount namespace's end."""
    return tmp_path / "disk"


def in_child(code: str, *arguments: str, mount: str | None = None) -> str:
    """Run *code* in a child, with a file system of its own mounted if *mount* says so."""
    command = [sys.executable, "-c", code, *arguments]
    if mount is not None:
        command = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if mount is not None and "permitted" in done.stderr:
        pytest.skip("mounting is not permitted here")
    assert done.returncode == 0, done.stderr
    return done.stdout


WRITE = """
import os, sys
from pathlib import Path
from comfywatchman.domain.errors import WatchmanError
from tests.disk.parts import opened
if sys.argv[2:]:
    os.chdir(sys.argv[2])  # so that nobody need not get through the directories above
    if os.geteuid() == 0:
        os.setgid(65534), os.setuid(65534)
try:
    with opened(Path(sys.argv[1])) as part:
        for _ in range(8):
            part.append(bytes(1 << 20))
except WatchmanError as error:
    made = Path(sys.argv[1]).parent.is_dir() and Path(sys.argv[1]).exists()
    print(type(error).__name__, Path(sys.argv[1]).stat().st_size if made else "")
"""


@ROOT
def test_a_disk_that_fills_up_is_a_full_disk_and_the_bytes_stay(small_disk: Path) -> None:
    small_disk.mkdir()

    told = in_child(
        WRITE, str(small_disk / ".x.part"), mount=f"mount -t tmpfs -o size=2m none {small_disk}"
    )

    assert told.split() == [DiskFull.__name__, str(2 << 20)]


@ROOT
def test_a_file_system_mounted_for_reading_is_not_writable(small_disk: Path) -> None:
    small_disk.mkdir()

    told = in_child(
        WRITE, str(small_disk / ".x.part"), mount=f"mount -t tmpfs -o ro none {small_disk}"
    )

    assert told.split() == [FolderNotWritable.__name__]


def test_a_directory_we_may_not_write_is_not_writable(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)

    told = in_child(WRITE, ".x.part", str(locked))

    assert told.split() == [FolderNotWritable.__name__]
    locked.chmod(0o755)
