"""Whoever reads model files asks for less of the machine than anybody else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from comfywatchman.daemon.readers.guest import NICENESS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")

THREAD = """
import os, subprocess, threading
from comfywatchman.daemon.readers.guest import become_guest
def read():
    become_guest()
    me = threading.get_native_id()
    told = subprocess.run(["ionice", "-p", str(me)], capture_output=True, text=True).stdout
    print(os.getpriority(os.PRIO_PROCESS, me), told.strip(), sep="|")
thread = threading.Thread(target=read)
thread.start()
thread.join()
print(os.getpriority(os.PRIO_PROCESS, 0))
"""


def test_a_reader_is_nice_and_its_disk_class_is_idle_and_the_rest_of_the_daemon_is_not() -> None:
    told = subprocess.run(
        [sys.executable, "-c", THREAD], capture_output=True, check=True, text=True
    )
    reader, whole = told.stdout.splitlines()
    niceness, _, io_class = reader.partition("|")
    before = os.getpriority(os.PRIO_PROCESS, 0)

    assert int(niceness) == max(before, NICENESS)
    assert io_class in {"idle", ""}  # ionice need not be installed
    assert int(whole) == before
