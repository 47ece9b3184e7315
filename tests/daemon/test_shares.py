"""Model files on a share that fails: no row is lost, and nobody waits for it."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from comfywatchman.disk.answering import Answering
from comfywatchman.disk.scouts import Scouts
from comfywatchman.domain.files import Folders
from comfywatchman.domain.messages import ErrorMet, ModelFound, RootOffline, RootOnline
from comfywatchman.state import models
from comfywatchman.watch.kernel import BlindMounts
from tests.daemon.rooms import WHOLE, Room, room_of
from tests.pipeline.office import Office, model_bytes
from tests.share import Share, shared

PATIENCE = 2.0
"""Seconds; a share of this machine answers in none, were the machine not busy."""


@dataclass
class Scene:
    room: Room
    share: Share
    root: Path

    def rows(self) -> dict[Path, str | None]:
        every = self.room.office.reader.read(models.every)
        return {file.path: file.sha256 for file in every if self.root in file.path.parents}

    def restore(self) -> None:
        """Make the share work, and have it looked at."""
        self.share.error, self.share.error_for = 0, lambda _path: 0
        self.share.wake()
        if self.share.gone:
            self.share.mount()
        deadline = time.monotonic() + 10
        while self.room.sweeps.reach.answering.silent():
            assert time.monotonic() < deadline, "the question that was left behind never ended"
        self.room.do(WHOLE)


def fill(source: Path, directories: int, files: int) -> None:
    for number in range(directories):
        directory = source / f"loras/{number:03}"
        directory.mkdir(parents=True)
        for each in range(files):
            (directory / f"{each:03}.safetensors").write_bytes(model_bytes())


def scene(office: Office, folders: Folders, base: Path, share: Share) -> Scene:
    room = room_of(office, folders, base / "workflows", more=[share.mountpoint], patience=PATIENCE)
    room.sweeps.walks.settle_seconds = room.sweeps.looking.settle_seconds = -1.0
    room.sweeps.around.patience = PATIENCE
    room.do(WHOLE)
    room.look()
    return Scene(room, share, share.mountpoint)


@pytest.fixture
def failing(office: Office, folders: Folders, tmp_path: Path) -> Iterator[Scene]:
    """A share of fifty models, all known."""
    (tmp_path / "nas").mkdir()
    fill(tmp_path / "server", 5, 10)
    with shared(tmp_path / "server", tmp_path / "nas") as share:
        yield scene(office, folders, tmp_path, share)


def everywhere(number: int) -> Callable[[Scene], None]:
    def fault(scene: Scene) -> None:
        scene.share.error = number

    return fault


def below_the_top(number: int) -> Callable[[Scene], None]:
    def fault(scene: Scene) -> None:
        scene.share.error_for = lambda path: number if path != scene.share.source else 0

    return fault


def in_one_directory(number: int) -> Callable[[Scene], None]:
    def fault(scene: Scene) -> None:
        scene.share.error_for = lambda path: number if path.name == "003" else 0

    return fault


def at_some_files(number: int) -> Callable[[Scene], None]:
    def fault(scene: Scene) -> None:
        scene.share.error_for = lambda path: number if path.name.startswith("00") else 0

    return fault


def hanging(scene: Scene) -> None:
    scene.share.hang()


def dying(scene: Scene) -> None:
    scene.share.abort()


def unmounted(scene: Scene) -> None:
    scene.share.unmount()


def unmounted_and_used(scene: Scene) -> None:
    """A program writes into the directory while nothing is mounted there."""
    scene.share.unmount()
    (scene.root / "loras").mkdir(exist_ok=True)
    (scene.root / "loras" / "new.safetensors").write_bytes(model_bytes())


FAULTS: dict[str, Callable[[Scene], None]] = {
    "EIO everywhere": everywhere(errno.EIO),
    "ESTALE everywhere": everywhere(errno.ESTALE),
    "EACCES everywhere": everywhere(errno.EACCES),
    "EIO below the top": below_the_top(errno.EIO),
    "ESTALE below the top": below_the_top(errno.ESTALE),
    "EIO in one directory": in_one_directory(errno.EIO),
    "ESTALE in one directory": in_one_directory(errno.ESTALE),
    "EIO at some files": at_some_files(errno.EIO),
    "EHOSTDOWN at some files": at_some_files(errno.EHOSTDOWN),
    "no answer": hanging,
    "the server dies": dying,
    "unmounted": unmounted,
    "unmounted and written to": unmounted_and_used,
}


@pytest.mark.parametrize("name", FAULTS)
def test_no_row_is_lost_while_a_share_fails_nor_when_it_is_back(failing: Scene, name: str) -> None:
    before = failing.rows()
    FAULTS[name](failing)
    told = failing.room.do(WHOLE)
    during = failing.rows()
    failing.restore()

    assert len(before) == 50
    assert before.keys() <= during.keys()
    assert before.keys() <= failing.rows().keys()
    assert [e for e in told if isinstance(e, RootOffline | ErrorMet)]
    assert failing.room.sweeps.reach.offline == {}


def test_a_file_that_the_disk_does_not_even_show_is_told_and_keeps_its_row(failing: Scene) -> None:
    known, new = "loras/000/003.safetensors", "loras/001/new.safetensors"
    before = failing.rows()
    (failing.share.source / new).write_bytes(model_bytes("new"))
    sick = {failing.share.source / known, failing.share.source / new}
    failing.share.error_for = lambda path: errno.EIO if path in sick else 0
    told = failing.room.do(WHOLE)

    found = {event.path: event.trouble.code for event in told if isinstance(event, ErrorMet)}
    assert found == {failing.root / known: "disk-failed", failing.root / new: "disk-failed"}
    assert failing.rows() == before


@pytest.mark.parametrize("name", ["no answer", "the server dies", "unmounted", "EIO everywhere"])
def test_a_share_that_is_gone_is_told_once_and_so_is_its_return(failing: Scene, name: str) -> None:
    FAULTS[name](failing)
    first, second = failing.room.do(WHOLE), failing.room.do(WHOLE)
    before = len(failing.room.office.told)
    failing.restore()
    third = failing.room.office.told[before:]

    (offline,) = (event for event in first if isinstance(event, RootOffline))
    assert offline.root == failing.root
    assert offline.trouble.remedy
    assert not [event for event in second if isinstance(event, RootOffline)]
    assert [event for event in third if isinstance(event, RootOnline)] == [RootOnline(failing.root)]


def test_nothing_is_looked_into_again_when_an_unmounted_share_is_back(failing: Scene) -> None:
    """It comes back as another device, with other inode numbers."""
    failing.share.unmount()
    failing.room.do(WHOLE)
    before = len(failing.room.office.told)
    failing.restore()

    again = failing.room.office.told[before:]
    assert not [event for event in again if isinstance(event, ModelFound)]
    assert failing.room.noticed() == []


def test_the_other_trees_are_walked_while_one_hangs(failing: Scene) -> None:
    failing.share.hang()
    new = failing.room.models / "loras/new.safetensors"
    new.write_bytes(model_bytes("new"))
    began = time.monotonic()
    told = failing.room.do(WHOLE)

    assert [event.path for event in told if isinstance(event, ModelFound)] == [new]
    assert time.monotonic() - began < 10 * PATIENCE
    began = time.monotonic()
    failing.room.do(WHOLE)
    assert time.monotonic() - began < 10 * PATIENCE


def test_a_share_that_hangs_in_the_middle_of_a_walk_is_left_behind(failing: Scene) -> None:
    (failing.share.source / "loras" / "000" / "more.safetensors").write_bytes(model_bytes("more"))

    def hang_there(path: Path) -> int:
        if path.name == "002":
            failing.share.hangs = True
        return 0

    failing.share.error_for = hang_there
    told = failing.room.do(WHOLE)

    assert [event.root for event in told if isinstance(event, RootOffline)] == [failing.root]
    failing.restore()
    assert len(failing.rows()) == 51


@pytest.fixture(params=["mount", "file"])
def hanging_below(
    request: pytest.FixtureRequest, office: Office, folders: Folders, tmp_path: Path
) -> Iterator[Scene]:
    """A share in ComfyUI's own models: mounted there, or one file behind a link."""
    fill(tmp_path / "server", 1, 5)
    place = folders.models_root / "loras" / "nas"
    place.parent.mkdir(parents=True, exist_ok=True)
    mountpoint = place if request.param == "mount" else tmp_path / "nas"
    mountpoint.mkdir()
    if request.param == "file":
        (place.parent / "nas.safetensors").symlink_to(mountpoint / "loras/000/000.safetensors")
    room = room_of(office, folders, tmp_path / "workflows", patience=1.0)
    room.sweeps.walks.settle_seconds = room.sweeps.looking.settle_seconds = -1.0
    room.sweeps.around.patience = PATIENCE
    answering = room.sweeps.reach.answering = Answering(1.0, Scouts(BlindMounts()))
    with shared(tmp_path / "server", mountpoint) as share:
        room.do(WHOLE)
        room.look()
        yield Scene(room, share, folders.models_root)
        share.wake()
        answering.close()


def test_only_what_lies_on_it_waits_for_a_share_that_hangs_below_a_root(
    hanging_below: Scene,
) -> None:
    room, share = hanging_below.room, hanging_below.share
    before = hanging_below.rows()
    time.sleep(0.25)  # so long an answer is believed
    share.hang()
    for number in range(2):  # the first may be caught by it, the second knows of it
        new = room.models / f"checkpoints/new{number}.safetensors"
        new.parent.mkdir(exist_ok=True)
        new.write_bytes(model_bytes(str(number)))
        told = room.do(WHOLE)
        assert [e.path for e in told if isinstance(e, ModelFound)] == [new]
        offline = [e.root for e in told if isinstance(e, RootOffline)]
        assert all(room.models / "loras" in place.parents for place in offline)
        assert len(offline) == 1 - number
    assert before.keys() <= hanging_below.rows().keys()

    hanging_below.restore()
    assert before.keys() <= hanging_below.rows().keys()
    assert room.sweeps.reach.offline == {}


@pytest.mark.trial
def test_fifty_rounds_of_faults_lose_none_of_a_thousand_rows(
    office: Office, folders: Folders, tmp_path: Path
) -> None:
    (tmp_path / "nas").mkdir()
    fill(tmp_path / "server", 20, 50)
    rounds = 0
    with shared(tmp_path / "server", tmp_path / "nas") as share:
        stage = scene(office, folders, tmp_path, share)
        before = stage.rows()
        assert len(before) == 1000
        for number in range(50):
            name = list(FAULTS)[number % len(FAULTS)]
            FAULTS[name](stage)
            stage.room.do(WHOLE)
            lost = before.keys() - stage.rows().keys()
            stage.restore()
            lost |= before.keys() - stage.rows().keys()
            assert not lost, name
            rounds += 1
    print(f"{rounds} rounds of faults, {len(before)} rows each: 0 lost")  # noqa: T201 - the figure
