"""The settle thread's work, done by the test, and files that it knows."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import cast

from comfywatchman.daemon.tally import NoTally
from comfywatchman.daemon.watching import Check, Stop, SweepRequest, Watching, rule_for
from comfywatchman.disk.files import look
from comfywatchman.domain.files import Folders, Reading
from comfywatchman.domain.messages import Event, ModelFound
from comfywatchman.inventory import read_model
from comfywatchman.pipeline.sweeping import models_of
from comfywatchman.state import hashes
from comfywatchman.watch.notice import Notice, Noticed
from comfywatchman.watch.settle import Settling
from tests.pipeline.office import Office, put_model


@dataclass
class Room:
    """The thread's work, done here and now: nothing has to rest."""

    watching: Watching
    office: Office
    asked: SimpleQueue[SweepRequest | Check | Stop]
    workflows: Path
    models: Path

    def notice(self, path: Path, kind: Notice = Notice.CHANGED) -> list[Event]:
        """Hand in a notice, and return the events that come of it."""
        before = len(self.office.told)
        self.watching._attempt(partial(self.watching._take, Noticed(path, kind)))
        self.watching._attempt(self.watching._hand_over)
        return cast("list[Event]", self.office.told[before:])

    def requests(self) -> list[SweepRequest | Check | Stop]:
        found = []
        while not self.asked.empty():
            found.append(self.asked.get_nowait())
        return found


def resting(office: Office, folders: Folders, tmp_path: Path) -> Room:
    """Return the settle thread's work for a scratch tree."""
    workflows = tmp_path / "workflows"
    workflows.mkdir()
    asked: SimpleQueue[SweepRequest | Check | Stop] = SimpleQueue()
    watching = Watching(
        SimpleQueue(),
        asked,
        office.desk,
        office.reader,
        [workflows],
        [folders.models_root],
        Settling(rule_for([workflows], 0.0)),
        models_of(folders),
        NoTally(),
    )
    return Room(watching, office, asked, workflows, folders.models_root)


def measured(room: Room, path: Path) -> None:
    put_model(path, os.urandom(200_000))
    known_as_measured(room, path)


def known_as_measured(room: Room, path: Path) -> None:
    seen = look(path)
    assert seen is not None
    room.office.happens(ModelFound(path, seen.size, whole=True, stamp=seen))
    reading = read_model(path, threading.Event())
    assert isinstance(reading, Reading)
    room.office.keeper.write(lambda c: hashes.measured(c, path, reading))


def sha256_of(room: Room, path: Path) -> str | None:
    known = room.office.reader.read(lambda c: hashes.known(c, path))
    assert known is not None
    return known.sha256
