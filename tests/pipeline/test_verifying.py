"""What a fresh reading means against what is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from comfywatchman.domain.files import Digests, Folders, Measured, Reading
from comfywatchman.domain.messages import ModelCorrupt, ModelFound, ModelIndexed, ModelVerified
from comfywatchman.pipeline.verifying import verdict
from comfywatchman.state.hashes import Known
from tests.state.rows import HASH, OTHER_HASH, stamp

LORA = Path("/m/loras/detail.safetensors")
READ = Reading(stamp(), Measured(10, HASH), 9)
KNOWN = Known(LORA, stamp(), True, HASH, Digests(), 1, 5, 5.0, None, False)


def test_equal_bytes_are_verified(folders: Folders) -> None:
    found = verdict(LORA, READ, KNOWN, folders)

    assert (found.outcome, found.trouble) == ("equal", None)
    assert found.events == (ModelVerified(LORA, READ),)


def test_other_bytes_under_an_equal_stamp_are_decay_and_both_hashes_are_told(
    folders: Folders,
) -> None:
    read = replace(READ, measured=Measured(10, OTHER_HASH))
    found = verdict(
        LORA, read, KNOWN, folders, sources=["https://a.example/x", "https://b.example"]
    )

    (event,) = found.events
    assert isinstance(event, ModelCorrupt)
    assert event.reading == read
    assert found.outcome == "corrupt"
    assert found.trouble is not None
    assert found.trouble.code == "model-corrupt"
    assert HASH in found.trouble.cause
    assert OTHER_HASH in found.trouble.cause
    assert "https://a.example/x (or https://b.example)" in found.trouble.remedy


def test_a_file_that_changed_with_its_stamp_is_simply_measured_anew(folders: Folders) -> None:
    read = Reading(stamp(mtime_ns=2), Measured(10, OTHER_HASH), 9)
    found = verdict(LORA, read, KNOWN, folders)

    assert found.outcome == "measured"
    assert [type(event) for event in found.events] == [ModelFound, ModelIndexed]


def test_a_file_that_nobody_knows_is_measured(folders: Folders) -> None:
    assert verdict(LORA, READ, None, folders).outcome == "measured"
    assert verdict(LORA, READ, replace(KNOWN, sha256=None), folders).outcome == "measured"


def test_a_measure_that_proved_nothing_is_replaced_and_not_compared(folders: Folders) -> None:
    other = replace(KNOWN, sha256=OTHER_HASH, racy=True)

    assert verdict(LORA, READ, other, folders).outcome == "measured"
