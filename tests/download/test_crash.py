from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from comfywatchman.domain.errors import DiskFull
from comfywatchman.domain.files import Expected, Folder, Folders
from comfywatchman.domain.sizes import size_words
from comfywatchman.download.handler import verify
from comfywatchman.download.room import Room
from comfywatchman.place import Target, plan, publish_target, staged
from tests.download.fetching import NAME, Fetching, model, sha256
from tests.shelf import Fault, Shelf

DATA = model(6_000_000)
EXPECTED = Expected(len(DATA), sha256(DATA))
REPOSITORY = Path(__file__).parents[2]


def target_in(tmp_path: Path) -> Target:
    loras = tmp_path / "models" / "loras"
    loras.mkdir(parents=True, exist_ok=True)
    table = {"loras": Folder("loras", (loras,), write_root=loras)}
    return plan(Folders(tmp_path, tmp_path / "models", table), "loras", NAME, "a-hash")


def bring(url: str, target: Target, fetching: Fetching) -> Path:
    fetched = fetching.fetch(url, size=EXPECTED.size, sha=EXPECTED.sha256)
    with staged(target) as part:
        return publish_target(target, part, verify(part, EXPECTED, NAME, fetched.measured))


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # not there yet, or under its final name by now
        return 0


CHILD = """
import json, sys
from pathlib import Path
from tests.download.fetching import Fetching
from tests.download.test_crash import bring, target_in
url, host, place = json.loads(sys.argv[1])
target = target_in(Path(place))
bring(url, target, Fetching(target.part, (host,)))
"""


def test_a_process_killed_while_fetching_leaves_nothing_wrong_and_the_next_one_goes_on(
    tmp_path: Path,
) -> None:
    target = target_in(tmp_path)
    chance = random.Random(7)
    resumed = 0
    with Shelf() as shelf:
        url = shelf.put("/a", DATA)
        shelf.spoil("/a", Fault(slow=0.004, times=None))
        arguments = json.dumps([url, shelf.host, str(tmp_path)])
        for _ in range(6):
            with subprocess.Popen(
                [sys.executable, "-c", CHILD, arguments],
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            ) as child:
                enough = size_of(target.part) + chance.randrange(1, 1_500_000)
                deadline = time.monotonic() + 30
                while child.poll() is None and size_of(target.part) < enough:
                    assert time.monotonic() < deadline
                child.send_signal(signal.SIGKILL)
            assert not target.final.exists() or target.final.read_bytes() == DATA
            if target.final.exists():
                break
            assert DATA.startswith(target.part.read_bytes())
        resumed = sum("range" in asked.headers for asked in shelf.asked)
        shelf.faults.clear()

        if not target.final.exists():
            bring(url, target, Fetching(target.part, (shelf.host,)))

    assert target.final.read_bytes() == DATA
    assert not target.part.exists()
    assert resumed > 0


def test_too_little_room_is_told_before_the_first_byte(tmp_path: Path) -> None:
    target = target_in(tmp_path)
    with Shelf() as shelf:
        url = shelf.put("/a", DATA)
        fetching = Fetching.of(target.part, shelf)
        fetching.room = Room(1 << 60)

        with pytest.raises(DiskFull) as full:
            fetching.fetch(url)

    assert "6.0 MB are still to come" in full.value.cause
    assert size_words(1 << 60) in full.value.cause
    assert fetching.starts == []
    assert target.part.stat().st_size == 0
