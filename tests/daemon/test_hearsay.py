"""Which claims of other programs are read between two looks at all of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from comfywatchman.comfyui.layout import read_layout
from comfywatchman.daemon.hearsay import QUIET_SECONDS, Hearsay
from comfywatchman.daemon.installation import Place
from comfywatchman.daemon.measuring import Manner
from comfywatchman.daemon.scrubbing import Scrubbing, Task
from comfywatchman.daemon.tally import NoTally
from comfywatchman.domain.errors import ClaimsUnreadable
from comfywatchman.domain.files import Folders
from comfywatchman.domain.messages import ErrorMet, ModelFound, ModelMoved, ModelRemoved
from comfywatchman.state import claims
from tests.pipeline.office import Office, model_bytes, put_model, sha256

GOOD = sha256(model_bytes())
LIMIT = 20.0
TROUBLE = ClaimsUnreadable("It is half written.", remedy="Nothing.").trouble()


def waits(hearsay: Hearsay, least: float, most: float) -> bool:
    due = hearsay.due_in
    return due is not None and least < due <= most


def test_models_and_sidecars_are_gathered_by_directory_and_stem() -> None:
    rung: list[None] = []
    hearsay = Hearsay(lambda: rung.append(None))
    assert hearsay.due_in is None

    hearsay.observe(ModelFound(Path("/m/a.safetensors"), 1, whole=True))
    hearsay.observe(ModelMoved(Path("/m/sub/b.safetensors"), Path("/m/b.safetensors")))
    hearsay.observe(ModelRemoved(Path("/m/gone.safetensors")))
    hearsay.note(Path("/m/c.metadata.json"))
    hearsay.note(Path("/m/c.civitai.info"))

    assert len(rung) == 1
    assert waits(hearsay, 0, QUIET_SECONDS)
    assert hearsay.take() == {Path("/m"): {"a", "c"}, Path("/m/sub"): {"b"}}
    assert hearsay.due_in is None


def test_of_a_directory_full_of_news_everything_is_read() -> None:
    hearsay = Hearsay()
    for number in range(1000):
        hearsay.note(Path(f"/m/{number}.safetensors"))
        hearsay.note(Path(f"/m/sub/{number % 3}.safetensors"))

    assert hearsay.take() == {Path("/m"): None, Path("/m/sub"): {"0", "1", "2"}}
    assert hearsay.take() == {}


def test_news_of_a_whole_library_are_not_kept_one_by_one() -> None:
    hearsay = Hearsay()
    for number in range(600):
        hearsay.note(Path(f"/m/{number}/a.safetensors"))

    assert hearsay.take() is None
    assert hearsay.take() == {}


def test_what_comes_while_news_are_taken_rings_again() -> None:
    rung: list[None] = []
    hearsay = Hearsay(lambda: rung.append(None))
    hearsay.note(Path("/m/a.safetensors"))
    hearsay.take()
    hearsay.note(Path("/m/b.safetensors"))

    assert len(rung) == 2
    assert hearsay.take() == {Path("/m"): {"b"}}


def test_after_a_long_look_there_is_a_longer_rest_but_no_endless_one() -> None:
    hearsay = Hearsay()
    for took, rest in ((0.001, QUIET_SECONDS), (0.5, 5.0), (3600.0, 30.0)):
        hearsay.took(took)
        hearsay.note(Path("/m/a.safetensors"))
        assert waits(hearsay, rest - 0.5, rest)
        hearsay.take()


def test_a_sidecar_that_cannot_be_read_is_read_once_more_before_it_is_told() -> None:
    hearsay = Hearsay()
    model, cache = Path("/m/a.safetensors"), Path("/webui/cache.json")
    found = [(model, TROUBLE), (cache, TROUBLE)]

    assert hearsay.unreadable(found, {model.parent: {model.stem}}) == [(cache, TROUBLE)]
    assert hearsay.take() == {Path("/m"): {"a"}}
    assert hearsay.unreadable([(model, TROUBLE)], {model.parent: {model.stem}}) == [
        (model, TROUBLE)
    ]


@dataclass
class Room:
    scrubbing: Scrubbing
    office: Office
    folders: Folders

    def found(self, name: str) -> Path:
        """Have a model whose row comes now."""
        path = self.folders.models_root / "loras" / name
        seen = put_model(path)
        self.office.happens(ModelFound(path, seen.size, whole=True, stamp=seen))
        self.scrubbing.hearsay.note(path)
        return path

    def claimed(self, path: Path) -> str | None:
        found = self.office.reader.read(lambda c: claims.of(c, path))
        return found[0].sha256 if found else None

    def claims(self, path: Path, digest: str) -> bool:
        return self.claimed(path) == digest

    def when(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + LIMIT
        while not true():
            assert time.monotonic() < deadline
            self.scrubbing.stop.wait(0.02)


@pytest.fixture
def room(office: Office, folders: Folders, tmp_path: Path) -> Iterator[Room]:
    """Have the care thread run, long after its look at all claims."""
    root = tmp_path / "ComfyUI"
    place = Place(root, read_layout(root), (), tmp_path / "state")
    scrubbing = Scrubbing(
        office.desk, office.keeper, office.reader, place, threading.Event(), NoTally(), Manner(), 4
    )
    scrubbing.ready.set()
    thread = threading.Thread(target=scrubbing.run)
    thread.start()
    yield Room(scrubbing, office, folders)
    scrubbing.stop.set()
    scrubbing.end()
    thread.join(LIMIT)
    assert not thread.is_alive()


def claim(model: Path, digest: str) -> Path:
    sidecar = model.with_name(f"{model.stem}.metadata.json")
    sidecar.write_text(json.dumps({"size": model.stat().st_size, "sha256": digest}))
    return sidecar


def test_the_claim_about_a_model_that_is_noted_late_is_read(room: Room) -> None:
    claim(put(room, "a.safetensors"), GOOD)
    path = room.found("a.safetensors")

    room.when(lambda: room.claimed(path) == GOOD)


def put(room: Room, name: str) -> Path:
    path = room.folders.models_root / "loras" / name
    put_model(path)
    return path


def test_a_sidecar_that_comes_later_and_changes_is_read_each_time(room: Room) -> None:
    path = room.found("a.safetensors")
    room.when(lambda: room.scrubbing.hearsay.due_in is None)
    for digest in ("ab" * 32, "cd" * 32):
        room.scrubbing.hearsay.note(claim(path, digest))
        room.when(partial(room.claims, path, digest))


def test_a_sidecar_that_stays_broken_is_told_and_the_claims_beside_it_are_read(room: Room) -> None:
    path = room.found("a.safetensors")
    path.with_name("a.civitai.info").write_text("{")
    room.scrubbing.hearsay.note(claim(path, GOOD))

    room.when(lambda: [e for e in room.office.told if isinstance(e, ErrorMet)])
    assert room.claimed(path) == GOOD


def test_news_during_a_scrub_that_waits_are_heard(room: Room) -> None:
    busy = threading.Event()
    room.scrubbing.busy = lambda: not busy.is_set()
    first = room.found("a.safetensors")
    room.office.measured(first, put_model(first), GOOD)
    room.scrubbing.put(Task.SCRUB)
    path = room.found("b.safetensors")
    claim(path, GOOD)
    room.scrubbing.hearsay.note(path)
    room.when(lambda: room.claimed(path) == GOOD)
    busy.set()
