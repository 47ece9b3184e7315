"""The wanted bytes, where this machine has them under another name."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.files import Folders, Stamp
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.domain.messages import ModelFound
from comfywatchman.pipeline.at_hand import MOST_READ, AtHand
from comfywatchman.state import hashes, models
from tests.pipeline.office import Office, model_bytes, put_model, sha256

GOOD = model_bytes("good")


def wanted(size: int | None = len(GOOD)) -> FetchModel:
    source = Candidate("catalog", "https://hub.example/x", "x.safetensors", size, sha256(GOOD))
    return FetchModel("loras", "x.safetensors", (source,))


def at_hand(office: Office, *, measures: bool = True) -> AtHand:
    return AtHand(office.reader, office.keeper, threading.Event(), measures)


def found(office: Office, path: Path, content: bytes) -> Path:
    seen = put_model(path, content)
    office.happens(ModelFound(path, seen.size, whole=True, stamp=seen))
    return path


def test_a_file_of_the_wanted_size_is_measured_before_anything_is_fetched(
    office: Office, folders: Folders
) -> None:
    other = found(office, folders.models_root / "vae/renamed.safetensors", GOOD)
    larger = found(office, folders.models_root / "vae/larger.safetensors", GOOD + b"x")

    assert [file.path for file in at_hand(office).same_bytes(wanted(), sha256(GOOD))] == [other]
    known = {file.path: file.sha256 for file in office.reader.read(models.every)}
    assert known == {other: sha256(GOOD), larger: None}


def test_where_the_source_rounds_the_size_files_of_about_that_size_are_measured(
    office: Office, folders: Folders
) -> None:
    other = found(office, folders.models_root / "vae/renamed.safetensors", GOOD)
    larger = found(office, folders.models_root / "vae/larger.safetensors", GOOD + b"x" * 5000)
    about = replace(wanted(None).sources[0], size_about=len(GOOD) - 700)
    job = FetchModel("loras", "x.safetensors", (about,))

    assert [file.path for file in at_hand(office).same_bytes(job, sha256(GOOD))] == [other]
    known = {file.path: file.sha256 for file in office.reader.read(models.every)}
    assert known[larger] is None


def test_everything_that_the_reading_told_is_kept(office: Office, folders: Folders) -> None:
    other = found(office, folders.models_root / "vae/renamed.safetensors", GOOD)
    at_hand(office).same_bytes(wanted(), sha256(GOOD))

    known = office.reader.read(lambda c: hashes.known(c, other))
    assert known is not None
    assert known.digests.sample is not None


def test_where_nothing_may_be_measured_nothing_is(office: Office, folders: Folders) -> None:
    other = found(office, folders.models_root / "vae/renamed.safetensors", GOOD)

    assert at_hand(office, measures=False).same_bytes(wanted(), sha256(GOOD)) == []
    office.measured(other, put_stamp(office, other), sha256(GOOD))
    assert at_hand(office, measures=False).same_bytes(wanted(), sha256(GOOD)) != []


def put_stamp(office: Office, path: Path) -> Stamp:
    known = office.reader.read(lambda c: models.one(c, path))
    assert known is not None
    return known.stamp


def test_without_a_promised_size_nothing_is_read(office: Office, folders: Folders) -> None:
    found(office, folders.models_root / "vae/renamed.safetensors", GOOD)

    assert at_hand(office).same_bytes(wanted(None), sha256(GOOD)) == []


@pytest.mark.parametrize("name", ["x.safetensors", "other.safetensors"])
def test_of_a_shelf_of_files_of_one_size_only_a_few_are_read_the_namesake_first(
    office: Office, folders: Folders, name: str
) -> None:
    for number in range(MOST_READ + 3):
        found(office, folders.models_root / f"a/{number:02}.safetensors", model_bytes(str(number)))
    namesake = found(office, folders.models_root / "z" / name, GOOD)
    same = at_hand(office).same_bytes(wanted(), sha256(GOOD))

    assert [file.path for file in same] == ([namesake] if name == "x.safetensors" else [])
    measured = [file for file in office.reader.read(models.every) if file.sha256]
    assert len(measured) == MOST_READ


def test_a_file_that_changed_since_it_was_found_is_not_it(office: Office, folders: Folders) -> None:
    other = found(office, folders.models_root / "vae/renamed.safetensors", GOOD)
    other.write_bytes(GOOD)

    assert at_hand(office).same_bytes(wanted(), sha256(GOOD)) == []
