"""The inventory as the analysis asks for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.domain.files import Folders, ModelFile
from comfywatchman.domain.messages import ModelFound
from comfywatchman.domain.references import Finding, ReferenceState
from comfywatchman.pipeline.library import StoredLibrary, WalkedLibrary, with_unindexed
from comfywatchman.state import models
from tests.pipeline.office import Office, put_model
from tests.state.rows import HASH, TROUBLE, finding, stamp


def lora(folders: Folders, name: str) -> Path:
    return folders.models_root / "loras" / name


# -- rows, checked against the disk


def test_a_row_is_believed_while_the_file_is_as_it_was(office: Office, folders: Folders) -> None:
    path = lora(folders, "x.safetensors")
    seen = put_model(path)
    office.happens(ModelFound(path, seen.size, whole=True, stamp=seen))
    office.keeper.write(lambda c: models.measured(c, path, seen, HASH, 1))
    with office.reader.connect() as connection:
        library = StoredLibrary(connection)

        assert library.named("X.safetensors") == [ModelFile(path, seen, sha256=HASH)]
        assert library.stemmed("x") == library.named("x.safetensors") == library.hashed(HASH)


def test_a_file_that_is_gone_is_not_here_whatever_its_row_says(
    office: Office, folders: Folders
) -> None:
    path = lora(folders, "x.safetensors")
    seen = put_model(path)
    office.happens(ModelFound(path, seen.size, whole=True, stamp=seen))
    path.unlink()
    with office.reader.connect() as connection:
        assert StoredLibrary(connection).named("x.safetensors") == []


def test_a_file_that_changed_has_no_hash_any_more(office: Office, folders: Folders) -> None:
    path = lora(folders, "x.safetensors")
    seen = put_model(path)
    office.happens(ModelFound(path, seen.size, whole=True, stamp=seen))
    office.keeper.write(lambda c: models.measured(c, path, seen, HASH, 1))
    now = put_model(path, b"something else")
    with office.reader.connect() as connection:
        library = StoredLibrary(connection)

        assert library.named("x.safetensors") == [ModelFile(path, now)]
        assert library.hashed(HASH) == []


def test_a_walk_answers_the_same_questions(folders: Folders) -> None:
    path = lora(folders, "Straße.safetensors")
    file = ModelFile(path, stamp(), sha256=HASH)
    library = WalkedLibrary.of([file])

    assert library.named("STRASSE.safetensors") == [file]
    assert library.stemmed("strasse") == [file]
    assert library.hashed(HASH) == [file]
    assert library.named("other") == library.hashed("00" * 32) == []
    assert library.holds_directory(folders.models_root)
    assert not library.holds_directory(path)


# -- on disk and in no row yet


def rows(folders: Folders, *findings: Finding) -> list[tuple[ReferenceState, Path | None]]:
    return [(row.state, row.path) for row in with_unindexed(findings, folders)]


def test_a_missing_file_that_lies_on_disk_is_arriving(folders: Folders) -> None:
    """Whatever it is, it must not be fetched a second time."""
    path = lora(folders, "sub/x.safetensors")
    put_model(path, b"half of a mod")

    (row,) = with_unindexed([finding("sub/x.safetensors")], folders)
    assert (row.state, row.path, row.size) == (ReferenceState.ARRIVING, path, 13)


def test_a_file_that_is_nowhere_is_missing(folders: Folders) -> None:
    assert rows(folders, finding("x.safetensors")) == [(ReferenceState.MISSING, None)]


def test_every_directory_of_a_folder_is_looked_into(folders: Folders) -> None:
    path = folders.models_root / "clip" / "x.safetensors"
    put_model(path)

    assert rows(folders, finding("x.safetensors", "text_encoders")) == [
        (ReferenceState.ARRIVING, path)
    ]


def test_a_name_that_must_not_become_a_path_is_not_looked_for(
    folders: Folders, tmp_path: Path
) -> None:
    put_model(tmp_path / "ComfyUI/outside.safetensors")

    climbs = replace(finding("../../outside.safetensors"), trouble=TROUBLE)
    assert rows(folders, climbs) == [(ReferenceState.MISSING, None)]


@pytest.mark.parametrize(
    "state", [ReferenceState.PRESENT, ReferenceState.ELSEWHERE, ReferenceState.DYNAMIC]
)
def test_what_the_rows_know_stays_as_it_is(folders: Folders, state: ReferenceState) -> None:
    put_model(lora(folders, "x.safetensors"))

    assert rows(folders, finding("x.safetensors", state=state)) == [(state, None)]


def test_a_reference_without_a_folder_is_left_alone(folders: Folders) -> None:
    assert rows(folders, finding("x.safetensors", None)) == [(ReferenceState.MISSING, None)]
