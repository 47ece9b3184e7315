"""Typed decoders under threads: a crash of the library ends the whole process."""

from __future__ import annotations

import subprocess
import sys

TRIES = 6

FOUR_AT_ONCE = """
import dataclasses, sys, threading
import msgspec
from comfywatchman.disk.decoding import decoder_of
from comfywatchman.domain import jobs

sys.setswitchinterval(1e-6)
kinds = [kind for kind in vars(jobs).values() if dataclasses.is_dataclass(kind)]
start = threading.Barrier(4)

def read():
    start.wait()
    for kind in kinds:
        try:
            decoder_of(kind).decode(b'{"a": 1}')
        except (msgspec.ValidationError, TypeError, NameError):
            pass

threads = [threading.Thread(target=read) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(kinds))
"""


def test_many_threads_may_read_a_class_for_the_first_time_at_once() -> None:
    for _ in range(TRIES):
        done = subprocess.run(
            [sys.executable, "-c", FOUR_AT_ONCE], capture_output=True, check=False
        )

        assert done.returncode == 0, done.stderr.decode()[:500]
        assert int(done.stdout) > 3
