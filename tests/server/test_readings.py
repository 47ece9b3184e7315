"""What a command that read whole model files hands over to the daemon."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from comfywatchman.domain.errors import DiskFailed, Trouble
from comfywatchman.domain.files import Digests, Measured, Reading, Unread
from comfywatchman.server.readings import MOST_READINGS, body_of
from comfywatchman.server.routes import API
from tests.server.small_daemon import House, house
from tests.state.rows import HASH, NOT_UTF8, OTHER_HASH, stamp

READING = Reading(
    stamp(2**40, inode=2**63 + 5),
    Measured(2**40, HASH),
    1_700_000_000_000_000_000,
    Digests(OTHER_HASH, "12345678", "ef" * 32, "ab" * 16),
    2,
    True,
)
LORA = Path("/models/loras/detail.safetensors")


@pytest.fixture(scope="module")
def at() -> Iterator[House]:
    with house() as found:
        yield found


@pytest.fixture(autouse=True)
def _as_new(at: House) -> None:
    at.daemon.asked.clear()


def body(*readings: tuple[Path, Reading | Unread]) -> bytes:
    return msgspec.json.encode(body_of(readings))


def changed(**values: object) -> bytes:
    row: dict[str, Any] = json.loads(body((LORA, READING)))["models"][0]
    return json.dumps({"models": [row | values]}).encode()


def test_readings_come_over_as_they_were(at: House) -> None:
    odd = Path(os.fsdecode(b"/models/loras/\xff\xfe")), replace(READING, racy=False, links=None)
    why = DiskFailed("Reading it failed.", remedy="Look at the disk.").trouble()
    unread = odd[0], Unread(READING.stamp, why)
    told: list[tuple[Path, Reading | Unread]]
    told = [(LORA, READING), (Path(f"/models/{NOT_UTF8}"), READING), odd, unread]
    answer = at.ask("POST", f"{API}/models/measured", body(*told))

    assert answer.status == 200
    assert answer.json == {
        "equal": 4,
        "measured": 0,
        "corrupt": 0,
        "unreadable": 0,
        "refused": 0,
    }
    assert at.daemon.asked == [("take_readings", told)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"models": 5}',
        changed(sha256="none"),
        changed(sha256=HASH[:10]),
        changed(size="1"),
        changed(more=1),
        changed(path="/a\0b"),
        changed(path_hex="zz"),
        changed(autov1="123"),
        changed(blake3="x" * 64),
        json.dumps({"models": [{}]}).encode(),
        body(*[(Path("/m"), READING)] * (MOST_READINGS + 1)),
        body((LORA, Unread(READING.stamp, Trouble("model-corrupt", "Rot.", "None.")))),
    ],
)
def test_what_is_no_reading_is_refused(at: House, content: bytes) -> None:
    answer = at.ask("POST", f"{API}/models/measured", content)

    assert answer.status in {400, 413}
    assert answer.json["error"]["remedy"]
    assert at.daemon.asked == []


def test_readings_are_taken_only_with_the_token(at: House) -> None:
    headers = {"Content-Type": "application/json"}
    answer = at.ask("POST", f"{API}/models/measured", body((LORA, READING)), headers)

    assert answer.status in {401, 403}
    assert at.daemon.asked == []


def test_models_in_trouble_can_be_asked_for_alone(at: House) -> None:
    answer = at.ask("GET", f"{API}/models?troubles=1")

    (row,) = answer.json["models"]
    assert row["error"]["code"] == "model-incomplete"
    assert row["whole"] is False
    assert at.ask("GET", f"{API}/models?troubles=2").status == 400
    assert at.ask("GET", f"{API}/models?troubles=yes").status == 400
