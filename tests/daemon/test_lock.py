"""One process owns a state directory."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from comfywatchman.daemon.lock import LOCK, OWNER, Owner, owner_of, owning, write_owner
from comfywatchman.domain.errors import DiskFailed, DiskFull, StateLocked

_OWN = """
import sys
from pathlib import Path
from comfywatchman.daemon.lock import owning

with owning(Path(sys.argv[1]), "run"):
    print("mine", flush=True)
    sys.stdin.read()
"""


def somebody(directory: Path) -> subprocess.Popen[str]:
    """Start another process that owns *directory* until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _OWN, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    return process


def test_a_second_owner_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    with somebody(tmp_path) as process:
        with pytest.raises(StateLocked) as refused, owning(tmp_path, "fix"):
            pass
        known = owner_of(tmp_path)
        process.communicate(timeout=30)

    assert f"Process {process.pid} (comfywatchman run, since " in refused.value.cause
    assert "state.directory" in refused.value.remedy
    assert known is not None
    assert (known.pid, known.role, known.address) == (process.pid, "run", None)


def test_whoever_was_killed_owns_nothing(tmp_path: Path) -> None:
    with somebody(tmp_path) as process:
        process.kill()
        process.wait(30)

    assert (tmp_path / OWNER).exists()
    assert owner_of(tmp_path) is None
    with owning(tmp_path, "run"):
        known = owner_of(tmp_path)
        assert known is not None
        assert known.pid == os.getpid()


def test_the_lock_file_stays_and_the_name_of_the_owner_goes(tmp_path: Path) -> None:
    with owning(tmp_path, "run"):
        assert (tmp_path / OWNER).exists()

    assert (tmp_path / LOCK).exists()
    assert not (tmp_path / OWNER).exists()
    assert owner_of(tmp_path) is None


def test_the_owner_tells_where_it_serves(tmp_path: Path) -> None:
    with owning(tmp_path, "run"):
        owner = Owner(os.getpid(), "run", time.time(), "127.0.0.1:8189")
        write_owner(tmp_path, owner)

        assert owner_of(tmp_path) == owner
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([LOCK, OWNER])


def test_an_owner_whose_name_cannot_be_read_is_an_owner_nonetheless(tmp_path: Path) -> None:
    with owning(tmp_path, "run"):
        (tmp_path / OWNER).write_text("{")
        known = owner_of(tmp_path)

    assert known is not None
    assert known.role == "unknown"


def test_looking_at_a_directory_that_is_not_there_makes_none(tmp_path: Path) -> None:
    assert owner_of(tmp_path / "state") is None
    assert not (tmp_path / "state").exists()


def test_a_directory_is_made_for_us_alone(tmp_path: Path) -> None:
    with owning(tmp_path / "deep" / "state", "run"):
        assert (tmp_path / "deep" / "state").stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_made_is_told_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskFailed) as told, owning(tmp_path / "file" / "state", "run"):
        pass

    assert "state.directory" in told.value.remedy


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFull), owning(tmp_path, "run"):
        pass

    assert owner_of(tmp_path) is None
