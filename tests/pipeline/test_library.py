"""The inventory as the analysis asks for it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Folders, ModelFile
from comfywatchman.domain.messages import ModelFound
from comfywatchman.domain.references import Finding, Hint, ReferenceState
from comfywatchman.pipeline.library import (
    StoredLibrary,
    WalkedLibrary,
    as_on_disk,
    with_unindexed,
)
from tests.pipeline.office import Office, put_model
from tests.state.rows import HASH, TROUBLE, finding, stamp


def lora(folders: Folders, name: str) -> Path:
    return folders.models_root / "loras" / name


# -- rows, checked against the disk


def test_a_row_is_believed_while_the_file_is_as_it_was(office: Office, folders: Folders) -> None:
    path = lora(folders, "x.safetensors")
    seen = put_model(path)
    office.happens(ModelFound(path, seen.size, whole=True, stamp=seen))
    office.measured(path, seen, HASH)
    with office.reader.connect() as connection:
        library = StoredLibrary(connection)

        assert library.named("X.safetensors") == [ModelFile(path, seen, sha256=HASH)]
        assert library.stemmed("x") == library.named("x.safetensors") == library.hashed(HASH)
        assert library.hash_begins(HASH[:10]) == library.hashed(HASH)
        assert library.hash_begins("00") == []
        assert library.containing("ras/x") == library.named("x.safetensors")
        assert library.containing("X") == library.containing("\ud800") == []


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
    office.measured(path, seen, HASH)
    now = put_model(path, b"something else")
    with office.reader.connect() as connection:
        library = StoredLibrary(connection)

        assert library.named("x.safetensors") == [ModelFile(path, now)]
        assert library.hashed(HASH) == []


def test_a_walk_answers_the_same_questions(folders: Folders) -> None:
    path = lora(folders, "Straße.safetensors")
    file = ModelFile(path, stamp(), sha256=HASH, after_sha256="9a" * 32)
    library = WalkedLibrary.of([file])

    assert library.after_begins("9a" * 6) == [file]
    assert library.after_begins("00" * 6) == []
    assert library.named("STRASSE.safetensors") == [file]
    assert library.stemmed("strasse") == [file]
    assert library.containing("raß") == [file]
    assert library.containing("strass") == []
    assert library.hashed(HASH) == library.hash_begins(HASH[:10]) == [file]
    assert library.hash_begins("0123456789") == []
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


def at_rest(path: Path) -> Path:
    """Make it look as if nobody had written to the file for an hour."""
    os.utime(path, (time.time() - 3600, time.time() - 3600))
    return path


def test_a_whole_file_at_rest_that_no_walk_met_is_present(folders: Folders) -> None:
    path = lora(folders, "up/x.safetensors")
    put_model(lora(folders, "x.safetensors"))
    path.parent.symlink_to(".")
    at_rest(path)

    assert rows(folders, finding("up/x.safetensors")) == [(ReferenceState.PRESENT, path)]


def test_what_is_no_model_and_no_walk_met_is_damaged(folders: Folders) -> None:
    path = lora(folders, "x.safetensors")
    put_model(path, b"<!DOCTYPE html><html></html>")
    at_rest(path)

    (row,) = with_unindexed([finding("x.safetensors")], folders)
    assert (row.state, row.damaged) == (ReferenceState.MISSING, True)


def test_what_a_row_says_against_a_file_holds_while_nobody_writes_to_it(
    office: Office, folders: Folders
) -> None:
    path = lora(folders, "x.safetensors")
    seen = put_model(path, b"half of a model")
    told = Trouble("model-incomplete", "It is cut.", "Wait.")
    office.happens(ModelFound(path, seen.size, whole=False, stamp=seen, trouble=told))
    with office.reader.connect() as connection:
        waited, hasty = StoredLibrary(connection), StoredLibrary(connection, patience_seconds=60.0)
        ((one,), (other,)) = waited.named(path.name), hasty.named(path.name)
        Path(f"{path}.aria2").touch()
        (fetched,) = waited.named(path.name)

    assert (one.damaged, other.damaged, fetched.damaged) == (True, False, False)


def test_a_directory_is_known_by_what_it_holds_and_in_other_case(folders: Folders) -> None:
    inside = folders.models_root / "diffusers/Good/sub"
    put_model(inside / "model_index.json", b"{}")
    root, library = folders.models_root / "diffusers", WalkedLibrary.of(())

    assert library.holds_directory(inside, "model_index.json")
    assert not library.holds_directory(inside.parent, "model_index.json")
    assert library.directory_like(root, "good/SUB") == "Good/sub"
    assert library.directory_like(root, "bad/sub") is None
    assert library.directory_like(root / "nowhere", "good") is None


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


@pytest.mark.parametrize("state", [ReferenceState.ELSEWHERE, ReferenceState.AMBIGUOUS])
def test_a_file_that_comes_to_where_it_is_asked_for_goes_before_any_that_lies_elsewhere(
    folders: Folders, state: ReferenceState
) -> None:
    path = lora(folders, "x.safetensors")
    put_model(path)
    other = replace(
        finding("x.safetensors", state=state),
        path=lora(folders, "sub/x.safetensors"),
        spelling="sub/x.safetensors",
        hint=Trouble(Hint.OTHER_SUBFOLDER.value, "It is in sub.", "Select it."),
    )

    (row,) = with_unindexed([other], folders)
    assert (row.state, row.path, row.found_in) == (ReferenceState.ARRIVING, path, "loras")
    assert (row.spelling, row.hint) == (None, None)


def test_a_file_that_only_the_widget_keeps_from_being_found_is_not_arriving(
    folders: Folders,
) -> None:
    put_model(lora(folders, "sub/x.safetensors"))
    misspelled = replace(
        finding("sub/x.safetensors", state=ReferenceState.ELSEWHERE),
        hint=Trouble(Hint.OTHER_SLASH.value, "ComfyUI lists it otherwise.", "Select it."),
    )

    assert with_unindexed([misspelled], folders) == (misspelled,)


@pytest.mark.parametrize("state", [ReferenceState.PRESENT, ReferenceState.DYNAMIC])
def test_what_the_rows_know_stays_as_it_is(folders: Folders, state: ReferenceState) -> None:
    put_model(lora(folders, "x.safetensors"))

    assert rows(folders, finding("x.safetensors", state=state)) == [(state, None)]


def test_a_reference_without_a_folder_is_left_alone(folders: Folders) -> None:
    assert rows(folders, finding("x.safetensors", None)) == [(ReferenceState.MISSING, None)]


# -- letter case


def other_case(folders: Folders, raw: str = "x.safetensors") -> Finding:
    """Return what the names alone say where ``X.safetensors`` is here."""
    row = finding("x.safetensors", state=ReferenceState.ELSEWHERE)
    return replace(
        row,
        reference=replace(row.reference, name=raw.replace("\\", "/"), raw=raw),
        path=lora(folders, "X.safetensors"),
        spelling="X.safetensors",
        hint=Trouble(Hint.OTHER_CASE.value, "It is here as X.", "Select X."),
    )


def test_a_file_that_opens_under_the_name_in_another_case_is_present(folders: Folders) -> None:
    """A link stands for a file system that ignores case: both names open one file."""
    put_model(lora(folders, "X.safetensors"))
    lora(folders, "x.safetensors").symlink_to(lora(folders, "X.safetensors"))

    (row,) = as_on_disk([other_case(folders)], folders)
    assert (row.state, row.path) == (ReferenceState.PRESENT, lora(folders, "x.safetensors"))
    assert row.hint is not None
    assert row.hint.code == Hint.OTHER_CASE  # ComfyUI's list has the other spelling all the same


def test_a_file_that_does_not_open_in_another_case_is_elsewhere(folders: Folders) -> None:
    put_model(lora(folders, "X.safetensors"))

    assert as_on_disk([other_case(folders)], folders) == (other_case(folders),)


def test_another_case_and_the_slashes_of_another_system_are_still_wrong_slashes(
    folders: Folders,
) -> None:
    put_model(lora(folders, "A/x.safetensors"))
    lora(folders, "a").symlink_to(lora(folders, "A"))
    found = replace(other_case(folders, "a\\x.safetensors"), path=lora(folders, "A/x.safetensors"))

    (row,) = as_on_disk([found], folders)
    assert (row.state, row.misspelled) == (ReferenceState.ELSEWHERE, True)
