"""The nightly reading for decay, driven by the test instead of a thread (promise 10)."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import update

from comfywatchman.comfyui.layout import read_layout
from comfywatchman.daemon.installation import Place
from comfywatchman.daemon.measuring import Manner
from comfywatchman.daemon.scrubbing import DAY, SCRUB, Scrubbing, Task
from comfywatchman.daemon.tally import NoTally
from comfywatchman.disk.files import look
from comfywatchman.domain.errors import DiskFailed
from comfywatchman.domain.files import Folders, Measured, Reading
from comfywatchman.domain.messages import ErrorMet, ModelCorrupt, ModelVerified, WorkflowAnalyzed
from comfywatchman.download.pace import Bandwidth
from comfywatchman.state import care, hashes, models, workflows
from comfywatchman.state.keeper import Connection
from comfywatchman.state.schema import models as model_rows
from tests.pipeline.office import Office, model_bytes, put_model, sha256
from tests.state.rows import analysis, finding, says

LIMIT = 30.0
T = TypeVar("T")


@dataclass
class Counted(NoTally):
    """What the metrics would be told."""

    scrubs: list[float | None] = field(default_factory=list)
    read: int = 0

    def scrubbed(self, at: float | None = None) -> None:
        self.scrubs.append(at)

    def count_hash_bytes(self, amount: int) -> None:
        self.read += amount


@dataclass
class Night:
    scrubbing: Scrubbing
    office: Office
    tally: Counted
    base: Path
    now: float = field(default_factory=time.time)

    def known(self, name: str, content: bytes | None = None) -> Path:
        """Have a model that was measured in 1970."""
        path = self.base / "loras" / name
        content = model_bytes(name) if content is None else content
        seen = put_model(path, content)
        reading = Reading(seen, Measured(seen.size, sha256(content)), at_ns=1)

        def note(connection: Connection) -> None:
            models.note(connection, path, seen, whole=True)
            hashes.measured(connection, path, reading)

        self.office.keeper.write(note)
        return path

    def scrub(self, days: float = 0.0) -> int:
        return self.scrubbing.scrub(self.now + days * DAY)

    def row(self, path: Path) -> care.Stored:
        found = self.office.reader.read(lambda c: care.stored_in(c, path.parent))
        return found[path.name]

    def events(self, kind: type[T]) -> list[T]:
        return [event for event in self.office.told if isinstance(event, kind)]


@pytest.fixture
def night(office: Office, folders: Folders, tmp_path: Path) -> Night:
    root = tmp_path / "ComfyUI"
    place = Place(root, read_layout(root), (), tmp_path / "state")
    tally = Counted()
    scrubbing = Scrubbing(
        office.desk, office.keeper, office.reader, place, threading.Event(), tally, Manner(), 4.0
    )
    scrubbing.ready.set()
    return Night(scrubbing, office, tally, folders.models_root)


def decay(office: Office, path: Path, chance: random.Random) -> None:
    """Flip one bit as a disk does it: nothing about the file but its bytes is another."""
    content = bytearray(path.read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    bit = chance.randrange(begin * 8, len(content) * 8)
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    seen = look(path)
    assert seen is not None
    # No program can write to a file and leave its times alone, so the row follows them.
    times = {"mtime_ns": seen.mtime_ns, "ctime_ns": seen.ctime_ns}
    row = update(model_rows).where(model_rows.c.path == path).values(**times)
    office.keeper.write(lambda c: c.execute(row))


def flip(night: Night, count: int, size: int) -> tuple[dict[Path, str], int]:
    """Have *count* files decay among as many that do not; return the good hashes and all bytes."""
    chance = random.Random(10)
    good = {}
    total = 0
    for number in range(count):
        for kind in ("rots", "stays"):
            content = model_bytes(f"{kind}{number}", size)
            path = night.known(f"{kind}-{number:03}.safetensors", content)
            total += len(content)
            if kind == "rots":
                good[path] = sha256(content)
                decay(night.office, path, chance)
    return good, total


def finds_all(night: Night, count: int, size: int) -> None:
    good, total = flip(night, count, size)
    read = sum(night.scrub(3 + day) for day in range(4))

    found = night.events(ModelCorrupt)
    assert len(found) == count
    assert {event.path for event in found} == set(good)
    assert total <= read <= total + total // 10
    for event in found:
        row = night.row(event.path)
        assert row.known.sha256 == good[event.path]
        assert row.known.rot == sha256(event.path.read_bytes())
        assert row.trouble == event.trouble
        assert event.trouble.code == "model-corrupt"
        assert good[event.path] in event.trouble.cause
        assert (row.known.rot or "-") in event.trouble.cause
    assert len(night.events(ModelVerified)) >= count


def test_a_cycle_finds_every_one_of_a_hundred_flipped_bits_and_keeps_the_good_hashes(
    night: Night,
) -> None:
    finds_all(night, 100, 3000)


@pytest.mark.trial
def test_a_cycle_finds_every_flipped_bit_in_large_files_too(night: Night) -> None:
    finds_all(night, 100, 20_000_000)


def test_a_night_reads_its_part_and_the_next_one_goes_on_with_the_rest(night: Night) -> None:
    files = [night.known(f"{number}.safetensors") for number in range(8)]
    size = files[0].stat().st_size

    assert [night.scrub(3 + day) for day in range(4)] == [2 * size] * 4
    assert sorted(event.path for event in night.events(ModelVerified)) == sorted(files)


def test_nights_that_were_missed_are_made_up_for_but_not_all_at_once(night: Night) -> None:
    files = [night.known(f"{number}.safetensors") for number in range(8)]
    size = files[0].stat().st_size
    night.office.keeper.write(lambda c: workflows.note_timer(c, SCRUB, night.now - 300 * DAY))

    assert night.scrub(3) == 6 * size


def test_what_was_read_lately_is_left_in_peace(night: Night) -> None:
    path = night.known("a.safetensors")
    night.scrub(3)
    first = night.row(path).known.verified_at
    assert first is not None

    assert night.scrubbing.scrub(first + DAY) == 0
    assert night.scrubbing.scrub(first + 3 * DAY) > 0


def test_the_end_of_a_night_is_told_and_kept_over_a_restart(night: Night) -> None:
    night.known("a.safetensors")
    night.scrub(3)
    at = night.now + 3 * DAY

    assert night.tally.scrubs == [at]
    assert night.office.reader.read(workflows.timer_times)[SCRUB] == at


def test_decay_is_told_once_and_where_the_file_can_be_had(night: Night) -> None:
    path = night.known("a.safetensors")
    lora = finding("a.safetensors", declared=(says("https://hub.example/a.safetensors"),))
    wanted = analysis("/wf/a.json", lora)
    night.office.happens(WorkflowAnalyzed(wanted, 0.1))
    decay(night.office, path, random.Random(1))
    night.scrub(3)
    night.scrub(10)

    (event,) = night.events(ModelCorrupt)
    assert "https://hub.example/a.safetensors" in event.trouble.remedy
    assert night.row(path).trouble == event.trouble


def test_a_file_that_was_written_since_is_not_called_decayed(night: Night) -> None:
    path = night.known("a.safetensors")
    path.write_bytes(model_bytes("other"))
    night.scrub(3)

    assert night.events(ModelCorrupt) == []


def test_a_file_that_is_gone_or_may_not_be_read_spoils_no_night(night: Night) -> None:
    gone, there = night.known("a.safetensors"), night.known("b.safetensors")
    gone.unlink()
    gone.mkdir()
    night.scrubbing.days = 1.0
    night.scrub(3)

    assert [event.path for event in night.events(ModelVerified)] == [there]
    assert len(night.tally.scrubs) == 1


@pytest.mark.parametrize("absent", [10, 70])
def test_files_of_a_drive_that_is_not_there_take_nothing_from_those_that_are(
    night: Night, absent: int
) -> None:
    for number in range(absent):
        night.known(f"a{number:02}.safetensors").unlink()
    there = [night.known(f"z{number:02}.safetensors") for number in range(30)]
    decay(night.office, there[-1], random.Random(3))
    for day in range(3, 15):
        night.scrub(day)

    assert [event.path for event in night.events(ModelCorrupt)] == [there[-1]]
    assert {event.path for event in night.events(ModelVerified)} == set(there[:-1])


def test_a_night_in_which_all_that_was_due_could_not_be_read_did_not_succeed(night: Night) -> None:
    path = night.known("a.safetensors")
    content = path.read_bytes()
    path.unlink()
    assert night.scrub(3) == 0
    assert night.tally.scrubs == []

    known = night.known("b.safetensors")
    assert night.scrub(4) == len(content) == known.stat().st_size
    assert len(night.tally.scrubs) == 1


def test_a_night_with_nothing_due_succeeds(night: Night) -> None:
    assert night.scrub(3) == 0
    assert len(night.tally.scrubs) == 1


def test_a_file_with_two_names_is_read_once_a_night(night: Night) -> None:
    first = night.known("a.safetensors")
    (first.parent / "b.safetensors").hardlink_to(first)
    content = first.read_bytes()
    night.scrubbing.days = 1.0
    for name in ("a.safetensors", "b.safetensors"):
        night.known(name, content)

    assert night.scrub(3) == len(content)


def test_what_cannot_be_read_says_so_at_its_row_until_it_can(night: Night) -> None:
    path = night.known("a.safetensors")
    good, seen = path.read_bytes(), look(path)
    night.scrubbing.stop.clear()
    trouble = DiskFailed("Reading it failed.", remedy="Check the disk.").trouble()
    assert seen is not None
    night.office.keeper.write(lambda c: hashes.unreadable(c, [(path, seen, trouble)]))
    assert night.row(path).trouble == trouble

    assert night.scrub(3) == len(good)
    assert night.row(path).trouble is None


def test_a_trouble_with_a_file_is_told_once(night: Night) -> None:
    path = night.known("a.safetensors")
    path.unlink()
    path.symlink_to(path)
    for day in (3, 4, 5):
        night.scrub(day)

    assert len(night.events(ErrorMet)) <= 1


def test_nothing_is_read_while_files_are_measured_and_a_stop_is_heard(night: Night) -> None:
    night.known("a.safetensors")
    waits = threading.Event()
    scrubbing = night.scrubbing

    def busy() -> bool:
        waits.set()
        return True

    scrubbing.busy = busy
    thread = threading.Thread(target=scrubbing.run)
    thread.start()
    scrubbing.put(Task.SCRUB)
    assert waits.wait(LIMIT)
    assert night.tally.read == 0
    scrubbing.stop.set()
    scrubbing.end()
    thread.join(LIMIT)

    assert not thread.is_alive()
    assert night.tally.scrubs == []


def test_nothing_is_read_while_comfyui_works(night: Night) -> None:
    night.known("a.safetensors")
    works = [True, False]
    asked: list[bool] = []

    def runs_prompt() -> bool:
        asked.append(works[min(len(asked), 1)])
        return asked[-1]

    night.scrubbing.manner = Manner(runs_prompt=runs_prompt)
    began = time.monotonic()
    assert night.scrub(3) > 0

    assert asked[:2] == [True, False]
    assert time.monotonic() - began >= 1.0


def test_the_budget_of_the_readers_holds_for_the_scrub(night: Night) -> None:
    night.known("a.safetensors", model_bytes("a", 3_000_000))
    night.scrubbing.manner = Manner(bandwidth=Bandwidth(2_000_000))
    began = time.monotonic()
    night.scrub(3)

    assert night.tally.read >= 3_000_000
    assert time.monotonic() - began >= 0.4


def test_with_zero_days_nothing_is_scrubbed(night: Night) -> None:
    night.known("a.safetensors")
    night.scrubbing.days = 0.0
    thread = threading.Thread(target=night.scrubbing.run)
    thread.start()
    night.scrubbing.put(Task.SCRUB)
    night.scrubbing.end()
    thread.join(LIMIT)

    assert not thread.is_alive()
    assert night.tally.scrubs == []
