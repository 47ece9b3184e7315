"""Writers as they are, looked at as the settle thread looks: real files, and a clock of numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from comfywatchman.watch.glimpse import glimpse
from comfywatchman.watch.settle import Rule, Settling

RULE = Rule(quick=0.05, slow=2.0)


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    """A file on a file system that can tell whether somebody writes."""
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"x")
    seen = glimpse(file)
    if seen is None or seen[1] is None:
        pytest.skip("this file system does not tell who writes")
    return file


def still_restless(settling: Settling, path: Path, until: float) -> bool:
    """Turn the clock to *until* as the owner would, and say whether *path* was never at rest."""
    while (due := settling.next_look()) is not None and due <= until:
        if path in settling.settled(due, glimpse):
            return False
    return True


def test_a_writer_that_pauses_for_an_hour_is_waited_for(lora: Path) -> None:
    settling = Settling(lambda _: RULE)
    with lora.open("ab") as file:
        file.write(b"first half")
        file.flush()
        settling.note(lora, 0.0, glimpse)
        restless = still_restless(settling, lora, 3600.0)

    assert restless
    assert not still_restless(settling, lora, 3602.0)


def test_a_preallocated_file_is_waited_for(lora: Path) -> None:
    settling = Settling(lambda _: RULE)
    with lora.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
        settling.note(lora, 0.0, glimpse)

        assert still_restless(settling, lora, 60.0)


def test_a_writer_whose_only_trace_is_a_mapping_is_waited_for(lora: Path) -> None:
    program = (
        "import mmap, os, sys\n"
        "fd = os.open(sys.argv[1], os.O_RDWR)\n"
        "kept = mmap.mmap(fd, 1)\n"
        "os.close(fd)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, lora], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        settling = Settling(lambda _: RULE)
        settling.note(lora, 0.0, glimpse)
        restless = still_restless(settling, lora, 60.0)
        writer.communicate()

    assert restless
    assert not still_restless(settling, lora, 62.0)


def test_a_file_that_is_reopened_and_appended_to_waits_the_whole_time_each_time(
    lora: Path,
) -> None:
    settling = Settling(lambda _: Rule(quick=2.0, slow=2.0))
    for second in range(5):
        with lora.open("ab") as file:
            file.write(b"more")
        settling.note(lora, float(second), glimpse)

        assert still_restless(settling, lora, second + 0.9)
    assert settling.settled(6.0, glimpse) == [lora]


def test_a_directory_a_pipe_and_nothing_at_all_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert glimpse(tmp_path) is None
    assert glimpse(tmp_path / "pipe") is None
    assert glimpse(tmp_path / "gone") is None
